/* The matrix: for each API, version and outcome the tests that show it, or the reason why there is
 * none.
 *
 * Each API has a file with its rows.  A row is one sentence about one outcome, run once for every
 * version in its range.  `documented` lists the outcomes that the protocol's documentation names
 * for the API; each of them needs, in every version, a row or an entry of `absent`.
 * kafka_matrix.c runs it all, matrix.c counts, numbers and prints. */
#ifndef MATRIX_MATRIX_H
#define MATRIX_MATRIX_H

#include "test.h"

enum {
	OUTCOME_SUCCESS = KAFKA_NONE,
	OUTCOME_CLOSED = -2, /* the broker closes the connection: there is no word for it */
	MATRIX_API_ROWS_MAX = 64,
	MATRIX_API_REASONS_MAX = 26, /* a letter each */
	COMMON_ROWS_MAX = 3,
};

struct matrix_row {
	int16_t outcome;
	int16_t first, last; /* versions */
	const char *name;
	void (*run)(struct test *t);
};

/* Why an outcome has no test here in these versions.  With `file` another program has it: one of
 * its lines holds `text`. */
struct matrix_absent {
	int16_t outcome;
	int16_t first, last; /* clamped to the API's */
	const char *text;
	const char *file;
};

struct matrix_api {
	int16_t key;
	int16_t first, last; /* what is advertised */
	const struct matrix_row *rows;
	size_t row_count;
	const int16_t *documented; /* errors; success is understood */
	size_t documented_count;
	const struct matrix_absent *absent;
	size_t absent_count;
};

#define MATRIX_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Of an API whose file has rows[], documented[] and absent[]. */
#define MATRIX_API(api_key, version_first, version_last)                                           \
	{                                                                                          \
		.key = (api_key), .first = (version_first), .last = (version_last), .rows = rows,  \
		.row_count = MATRIX_COUNT(rows), .documented = documented,                         \
		.documented_count = MATRIX_COUNT(documented), .absent = absent,                    \
		.absent_count = MATRIX_COUNT(absent)                                               \
	}

/* Every version, in an entry of `absent`. */
#define ALL_VERSIONS 0, INT16_MAX

/* Reasons that many APIs share. */
#define NO_ACCESS_LISTS "the server of these tests has no users: test/scenario/guarded.py has one"
#define ANY_AGENT_LEADS "every agent serves every partition"
#define ANY_AGENT_COORDINATES "every agent passes requests on to the coordinator"
#define NOTHING_LOADS "groups are read within the request, there is no loading"
#define CONTROL_AWAY                                                                               \
	"never said: the request waits for control, and where an answer is lost the connection "   \
	"ends, as the tests of \"connection closed\" show"
#define FIRST_EPOCH_ONLY "partitions stay in epoch 0: there is no older one"
#define MEMBER_EPOCHS                                                                              \
	"test_offsets_are_read_in_the_epoch_of_the_member",                                        \
		"src/streams/coordinator/consumer_groups_test.c"
#define NO_ELECTIONS "there is no high watermark that lags behind an election"
#define NO_REPLICAS "the bucket replicates: there are no replicas that could be missing"

/* Where faults are tested that no client can bring about. */
#define LINK_TEST "src/streams/agent_link_test.c"
#define CATALOG_FULL                                                                               \
	"test_in_a_full_catalog_topics_are_refused_and_can_be_deleted",                            \
		"src/streams/coordinator/topics_test.c"
#define UNAVAILABLE_TEST "src/streams/coordinator/unavailable_test.c"
#define QUOTA_USED                                                                                 \
	"test_changes_of_topics_are_counted_in_partitions", "src/streams/coordinator/"             \
							    "quotas_test.c"
#define QUOTA_UNKNOWN "the version does not know the word: the answer is a time to wait", NULL
#define NOT_LED "test_who_leads_no_more_says_who_may", UNAVAILABLE_TEST
#define QUEUE_FULL "test_a_queue_that_is_full_says_come_back", UNAVAILABLE_TEST
#define OUTCOME_LOST "test_a_lost_outcome_is_a_timeout", UNAVAILABLE_TEST

extern const struct matrix_api matrix_api_versions, matrix_metadata, matrix_create_topics,
	matrix_delete_topics, matrix_create_partitions, matrix_produce, matrix_fetch,
	matrix_list_offsets, matrix_init_producer_id, matrix_offset_for_leader_epoch,
	matrix_find_coordinator, matrix_join_group, matrix_sync_group, matrix_heartbeat,
	matrix_leave_group, matrix_offset_commit, matrix_offset_fetch, matrix_list_groups,
	matrix_describe_groups, matrix_delete_groups, matrix_describe_cluster,
	matrix_describe_configs, matrix_sasl_handshake, matrix_sasl_authenticate,
	matrix_describe_acls, matrix_create_acls, matrix_delete_acls, matrix_describe_scram,
	matrix_alter_scram, matrix_add_partitions_to_txn, matrix_add_offsets_to_txn, matrix_end_txn,
	matrix_write_txn_markers, matrix_txn_offset_commit, matrix_describe_producers,
	matrix_describe_transactions, matrix_list_transactions;

/* All of them, by key, each with the rows that every API has (common.c). */
extern const struct matrix_api *const matrix_apis[];
extern const size_t matrix_apis_count;

/* APIs without a table here: all their outcomes are shown by the tests in `file`. */
struct matrix_elsewhere {
	int16_t key;
	int16_t first, last; /* what is advertised */
	const char *file;
};
extern const struct matrix_elsewhere matrix_elsewhere[];
extern const size_t matrix_elsewhere_count;

/* The rows of an API: its own, then the common ones.  At most MATRIX_API_ROWS_MAX. */
size_t matrix_rows(const struct matrix_api *api, struct matrix_row ret[MATRIX_API_ROWS_MAX]);

/* The rows that every API has; at most COMMON_ROWS_MAX. */
size_t common_rows(const struct matrix_api *api, struct matrix_row *ret);

const char *matrix_outcome_name(int16_t outcome);
const char *matrix_api_name(const struct matrix_api *api);

/* Print doc/kafka-matrix.md. */
void matrix_print(void);

/* Nothing is missing and nothing is said twice: "" or the first complaint. */
void matrix_check(const struct matrix_api *api, char why[TEST_WHY_BYTES]);

/* The programs that `absent` names have the tests it says. */
void matrix_check_elsewhere(char why[TEST_WHY_BYTES]);

#endif

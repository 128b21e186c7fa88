/* What an agent counts for /metrics: plain additions where things happen, written out when somebody
 * asks.  Everything is since the process began. */
#ifndef STREAMS_AGENT_AGENT_NUMBERS_H
#define STREAMS_AGENT_AGENT_NUMBERS_H

#include "base/histogram.h"
#include "base/map.h"
#include "streams/agent/request.h"
#include "streams/catalog/catalog.h"
#include "wire/metrics/exposition.h"

enum {
	NUMBERS_APIS_MAX = 128,	  /* keys of Kafka's APIs */
	NUMBERS_ERRORS_MAX = 256, /* pairs of API and error; more are counted together */
	NUMBERS_TOPICS_MAX = 200, /* that have numbers of their own; the others share one */
	NUMBERS_TOPIC_NAME_BYTES = 250,
	NUMBERS_TOPIC_IDLE_MS = 3600 * 1000, /* then a deleted topic's place goes to another */
};

/* Why an open data file was closed. */
enum flush_reason {
	FLUSH_FULL,
	FLUSH_IDLE,   /* nothing else was under way */
	FLUSH_BUDGET, /* a put was left, or the first batch had waited for long */
	FLUSH_REASONS
};

struct topic_numbers {
	struct uuid topic_id; /* the last one of the name */
	char name[NUMBERS_TOPIC_NAME_BYTES];
	uint64_t produced_batches, produced_records, produced_bytes;
	uint64_t fetched_bytes;
	uint64_t last_ms; /* of the loop: when it was found last */
};

/* Which compaction: of neighbouring runs into one, or by key. */
enum numbers_compaction { NUMBERS_MERGE, NUMBERS_KEYS, NUMBERS_COMPACTIONS };

/* What is done beside clients' requests. */
struct work_numbers {
	struct {
		uint64_t jobs, failures, read_bytes, written_bytes;
	} compactions[NUMBERS_COMPACTIONS];
	uint64_t key_records_kept, key_records_dropped;
	uint64_t files_deleted, deletes_failed;
};

struct agent_numbers {
	struct work_numbers work;
	struct {
		uint64_t requests;
		struct histogram took;
	} apis[NUMBERS_APIS_MAX];
	struct {
		int16_t api, code;
		uint64_t count;
	} errors[NUMBERS_ERRORS_MAX];
	size_t error_count;
	uint64_t errors_other;
	uint64_t connections, refused;
	uint64_t received_bytes, sent_bytes; /* of requests and answers */
	uint64_t throttled, throttled_ms;

	struct topic_numbers topics[NUMBERS_TOPICS_MAX], other_topics;
	size_t topic_count;
	struct map topics_by_name;

	uint64_t flushes[FLUSH_REASONS];
	uint64_t puts_failed, commits_refused, announcements_refused;
	struct histogram file_bytes, open_took, put_took, turn_took, commit_took, announcement_took;

	struct buf lag;	       /* of groups, as it was told last */
	uint64_t lag_again_us; /* not looked for before */
};

struct agent_numbers *agent_numbers_new(void);
void agent_numbers_free(struct agent_numbers *n);

/* A request was answered, with this body (empty: it has no error to tell). */
void agent_numbers_answer(const struct request *r, struct slice body);

/* A part of an answer tells an error. */
void agent_numbers_error(struct agent *agent, int16_t api_key, int16_t code);

/* Where to count what is written to a topic and read from it; that of all others when there are too
 * many.  It stays for NUMBERS_TOPIC_IDLE_MS at least. */
struct topic_numbers *agent_numbers_topic(struct agent *agent, const struct uuid *topic_id,
					  struct slice name);

/* All of it, the cache's, the writer's and the bucket's numbers, too. */
void agent_numbers_write(struct agent *agent, struct exposition *e);

#endif

#include "matrix.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/scope.h"

const struct matrix_api *const matrix_apis[] = {
	&matrix_produce,
	&matrix_fetch,
	&matrix_list_offsets,
	&matrix_metadata,
	&matrix_offset_commit,
	&matrix_offset_fetch,
	&matrix_find_coordinator,
	&matrix_join_group,
	&matrix_heartbeat,
	&matrix_leave_group,
	&matrix_sync_group,
	&matrix_describe_groups,
	&matrix_list_groups,
	&matrix_sasl_handshake,
	&matrix_api_versions,
	&matrix_create_topics,
	&matrix_delete_topics,
	&matrix_init_producer_id,
	&matrix_offset_for_leader_epoch,
	&matrix_add_partitions_to_txn,
	&matrix_add_offsets_to_txn,
	&matrix_end_txn,
	&matrix_write_txn_markers,
	&matrix_txn_offset_commit,
	&matrix_describe_acls,
	&matrix_create_acls,
	&matrix_delete_acls,
	&matrix_describe_configs,
	&matrix_sasl_authenticate,
	&matrix_create_partitions,
	&matrix_delete_groups,
	&matrix_describe_scram,
	&matrix_alter_scram,
	&matrix_describe_cluster,
	&matrix_describe_producers,
	&matrix_describe_transactions,
	&matrix_list_transactions,
};

const size_t matrix_apis_count = MATRIX_COUNT(matrix_apis);

size_t matrix_rows(const struct matrix_api *api, struct matrix_row ret[MATRIX_API_ROWS_MAX])
{
	assert(api->row_count + COMMON_ROWS_MAX <= MATRIX_API_ROWS_MAX);
	memcpy(ret, api->rows, api->row_count * sizeof(*ret));
	return api->row_count + common_rows(api, ret + api->row_count);
}

const char *matrix_outcome_name(int16_t outcome)
{
	if (outcome == OUTCOME_SUCCESS)
		return "success";
	if (outcome == OUTCOME_CLOSED)
		return "connection closed";
	return kafka_error_name(outcome);
}

const char *matrix_api_name(const struct matrix_api *api)
{
	return kafka_api_find(api->key)->name;
}

/* --- one cell ----------------------------------------------------------------------------------
 */

static bool covers(int16_t outcome, int version, int16_t row_outcome, int16_t first, int16_t last)
{
	return outcome == row_outcome && version >= first && version <= last;
}

static size_t count_tests(const struct matrix_row *rows, size_t row_count, int16_t outcome,
			  int version)
{
	size_t count = 0;

	for (size_t i = 0; i < row_count; i++)
		count += covers(outcome, version, rows[i].outcome, rows[i].first, rows[i].last);
	return count;
}

static const struct matrix_absent empty_body = {
	OUTCOME_CLOSED, ALL_VERSIONS, "the body of this version is empty: nothing can be cut", NULL
};

static const struct matrix_absent refused_version = { OUTCOME_SUCCESS, ALL_VERSIONS,
						      "advertised for old clients, but refused",
						      NULL };

/* The reason why there is no test, or NULL. */
static const struct matrix_absent *find_absent(const struct matrix_api *api, int16_t outcome,
					       int version)
{
	for (size_t i = 0; i < api->absent_count; i++)
		if (covers(outcome, version, api->absent[i].outcome, api->absent[i].first,
			   api->absent[i].last))
			return &api->absent[i];
	if (outcome == OUTCOME_CLOSED)
		return &empty_body;
	return version < kafka_api_find(api->key)->version_first ? &refused_version : NULL;
}

/* --- the checks --------------------------------------------------------------------------------
 */

static bool is_documented(const struct matrix_api *api, int16_t outcome)
{
	for (size_t i = 0; i < api->documented_count; i++)
		if (api->documented[i] == outcome)
			return true;
	return outcome == OUTCOME_SUCCESS || outcome == OUTCOME_CLOSED;
}

static bool is_complete(const struct matrix_api *api, const struct matrix_row *rows,
			size_t row_count, int16_t outcome, char why[TEST_WHY_BYTES])
{
	for (int version = api->first; version <= api->last; version++) {
		size_t tests = count_tests(rows, row_count, outcome, version);
		const struct matrix_absent *absent = find_absent(api, outcome, version);
		bool is_said_twice = tests && absent && absent != &empty_body;
		if ((tests || absent) && !is_said_twice)
			continue;
		snprintf(why, TEST_WHY_BYTES, "%s v%d %s has %s", matrix_api_name(api), version,
			 matrix_outcome_name(outcome),
			 is_said_twice ? "a test and a reason why there is none"
				       : "neither a test nor a reason");
		return false;
	}
	return true;
}

/* Rows outside of what is advertised may only show that nothing is served there. */
static bool row_is_sound(const struct matrix_api *api, const struct matrix_row *row)
{
	if (!is_documented(api, row->outcome) || row->first > row->last)
		return false;
	return (row->first >= api->first && row->last <= api->last) ||
	       row->outcome == OUTCOME_CLOSED || row->outcome == KAFKA_UNSUPPORTED_VERSION;
}

void matrix_check(const struct matrix_api *api, char why[TEST_WHY_BYTES])
{
	struct matrix_row rows[MATRIX_API_ROWS_MAX];
	size_t row_count = matrix_rows(api, rows);

	why[0] = '\0';
	for (size_t i = 0; i < row_count; i++)
		if (!row_is_sound(api, &rows[i])) {
			snprintf(why, TEST_WHY_BYTES,
				 "\"%s\" has an outcome that is not documented or versions that "
				 "are not served",
				 rows[i].name);
			return;
		}
	for (size_t i = 0; i < api->absent_count; i++)
		if (!is_documented(api, api->absent[i].outcome)) {
			snprintf(why, TEST_WHY_BYTES, "%s is absent but not documented",
				 matrix_outcome_name(api->absent[i].outcome));
			return;
		}
	if (!is_complete(api, rows, row_count, OUTCOME_SUCCESS, why) ||
	    !is_complete(api, rows, row_count, OUTCOME_CLOSED, why))
		return;
	for (size_t i = 0; i < api->documented_count; i++)
		if (!is_complete(api, rows, row_count, api->documented[i], why))
			return;
}

static bool file_has(const char *path, const char *text)
{
	char line[1024];
	AUTO_FILE file = fopen(path, "re");

	while (file && fgets(line, sizeof(line), file))
		if (strstr(line, text))
			return true;
	return false;
}

/* "OffsetCommit" as OFFSET_COMMIT. */
static void upper_snake(const char *camel, char *ret, size_t ret_bytes)
{
	size_t size = 0;

	for (const char *p = camel; *p && size + 2 < ret_bytes; p++) {
		bool is_upper = *p >= 'A' && *p <= 'Z';
		if (is_upper && p != camel)
			ret[size++] = '_';
		ret[size++] = is_upper ? *p : (char)(*p - 'a' + 'A');
	}
	ret[size] = 0;
}

void matrix_check_elsewhere(char why[TEST_WHY_BYTES])
{
	why[0] = '\0';
	for (size_t i = 0; i < matrix_apis_count; i++)
		for (size_t k = 0; k < matrix_apis[i]->absent_count; k++) {
			const struct matrix_absent *absent = &matrix_apis[i]->absent[k];
			if (!absent->file || file_has(absent->file, absent->text))
				continue;
			snprintf(why, TEST_WHY_BYTES, "%s has no test \"%s\"", absent->file,
				 absent->text);
			return;
		}
	for (size_t i = 0; i < matrix_elsewhere_count; i++) {
		char name[100] = "KAFKA_API_";
		size_t size = strlen(name);

		upper_snake(kafka_api_find(matrix_elsewhere[i].key)->name, name + size,
			    sizeof(name) - size);
		if (!file_has(matrix_elsewhere[i].file, name))
			snprintf(why, TEST_WHY_BYTES, "%s does not test %s",
				 matrix_elsewhere[i].file, name);
	}
}

/* --- printing ----------------------------------------------------------------------------------
 */

struct printer {
	const struct matrix_api *api;
	struct matrix_row rows[MATRIX_API_ROWS_MAX];
	size_t row_count;
	int numbers[MATRIX_API_ROWS_MAX]; /* of the first test of each row */
	int first, last;		  /* columns */
	const struct matrix_absent *reasons[MATRIX_API_REASONS_MAX];
	size_t reason_count;
};

static void print_range(int first, int last)
{
	if (first == last)
		printf("%d", first);
	else
		printf("%d-%d", first, last);
}

/* The letters of a reason: a, b, ... z, aa; the same text has the same letters. */
static void print_reason(struct printer *p, const struct matrix_absent *absent)
{
	size_t i = 0;

	while (i < p->reason_count && strcmp(p->reasons[i]->text, absent->text) != 0)
		i++;
	if (i == p->reason_count) {
		assert(p->reason_count < MATRIX_API_REASONS_MAX);
		p->reasons[p->reason_count++] = absent;
	}
	printf(" -%c", 'a' + (int)i);
}

static void print_cell(struct printer *p, int16_t outcome, int version)
{
	bool is_served = version >= p->api->first && version <= p->api->last;

	for (size_t i = 0; i < p->row_count; i++)
		if (covers(outcome, version, p->rows[i].outcome, p->rows[i].first, p->rows[i].last))
			printf(" %d", p->numbers[i] + version - p->rows[i].first);
	if (!count_tests(p->rows, p->row_count, outcome, version) && is_served)
		print_reason(p, find_absent(p->api, outcome, version));
	printf(" |");
}

static void print_outcome(struct printer *p, int16_t outcome)
{
	printf("| %s |", matrix_outcome_name(outcome));
	for (int version = p->first; version <= p->last; version++)
		print_cell(p, outcome, version);
	printf("\n");
}

static void print_outcomes(struct printer *p)
{
	printf("| outcome |");
	for (int version = p->first; version <= p->last; version++)
		printf(" %d |", version);
	printf("\n|---|");
	for (int version = p->first; version <= p->last; version++)
		printf("---|");
	printf("\n");
	print_outcome(p, OUTCOME_SUCCESS);
	for (size_t i = 0; i < p->api->documented_count; i++)
		print_outcome(p, p->api->documented[i]);
	print_outcome(p, OUTCOME_CLOSED);
	printf("\n");
	for (size_t i = 0; i < p->reason_count; i++)
		if (p->reasons[i]->file)
			printf("- -%c: `%s`: %s\n", 'a' + (int)i, p->reasons[i]->file,
			       p->reasons[i]->text);
		else
			printf("- -%c: %s\n", 'a' + (int)i, p->reasons[i]->text);
	if (p->reason_count)
		printf("\n");
}

static void print_tests(const struct printer *p)
{
	printf("| tests | versions | what they show |\n|---|---|---|\n");
	for (size_t i = 0; i < p->row_count; i++) {
		printf("| ");
		print_range(p->numbers[i], p->numbers[i] + p->rows[i].last - p->rows[i].first);
		printf(" | ");
		print_range(p->rows[i].first, p->rows[i].last);
		printf(" | %s |\n", p->rows[i].name);
	}
}

static int print_api(const struct matrix_api *api, int number)
{
	struct printer p = { .api = api, .first = api->first, .last = api->last };

	p.row_count = matrix_rows(api, p.rows);
	for (size_t i = 0; i < p.row_count; i++) {
		p.numbers[i] = number;
		number += p.rows[i].last - p.rows[i].first + 1;
		p.first = p.rows[i].first < p.first ? p.rows[i].first : p.first;
		p.last = p.rows[i].last > p.last ? p.rows[i].last : p.last;
	}
	printf("\n## %s (key %d), versions %d to %d\n\n", matrix_api_name(api), api->key,
	       api->first, api->last);
	print_outcomes(&p);
	print_tests(&p);
	return number;
}

void matrix_print(void)
{
	int number = 1;

	printf("# What Kafka clients can meet, and the test that shows it\n\n"
	       "Made by `make matrix-table` from the tables in `test/matrix`; `make test` runs "
	       "every test against\na server and compares this page with the tables. A cell has "
	       "the numbers of tests, or a letter for the\nreason why this outcome cannot be met "
	       "in that version. Columns outside of the advertised versions\nshow what a client "
	       "meets that asks for them all the same.\n");
	for (size_t i = 0; i < matrix_apis_count; i++)
		number = print_api(matrix_apis[i], number);
	printf("\n## Shown elsewhere\n\nAll outcomes of these are in the tests of one file.\n\n"
	       "| API | key | versions | tests |\n|---|---|---|---|\n");
	for (size_t i = 0; i < matrix_elsewhere_count; i++) {
		const struct matrix_elsewhere *it = &matrix_elsewhere[i];
		printf("| %s | %d | ", kafka_api_find(it->key)->name, it->key);
		print_range(it->first, it->last);
		printf(" | `%s` |\n", it->file);
	}
}

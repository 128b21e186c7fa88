/* The matrix against a running broker.
 *
 *	kafka_matrix HOST:PORT [WORD...]   run every row whose API or sentence has one of the words
 *	kafka_matrix --table               print doc/kafka-matrix.md
 *
 * MATRIX_PID and MATRIX_BUCKET, the process of a node and the directory of its bucket, are needed
 * by tests that break something; without them these are skipped.
 *
 * Prints TAP.  The number of a test is its number in the table; a run of some rows only keeps
 * them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "fault.h"
#include "matrix.h"

struct run {
	char **words;
	int number; /* of the newest test in the table */
	int ran;
	int failed;
};

static bool is_wanted(const struct run *run, const char *api, const char *name)
{
	bool any = !run->words[0];

	for (char **word = run->words; *word; word++)
		any |= strcmp(api, *word) == 0 || strstr(name, *word);
	return any;
}

static void report(struct run *run, int number, bool passed, const char *text, const char *why)
{
	run->ran++;
	run->failed += !passed;
	printf("%sok %d - %s\n", passed ? "" : "not ", number, text);
	if (!passed)
		printf("# %s\n", why);
	fflush(stdout);
}

static void run_row(struct run *run, const struct matrix_api *api, const struct matrix_row *row)
{
	static struct test test;
	char text[256 + TEST_WHY_BYTES];

	for (int version = row->first; version <= row->last; version++) {
		run->number++;
		if (!is_wanted(run, matrix_api_name(api), row->name))
			continue;
		bool passed = test_run(&test, api->key, (int16_t)version, row->run);
		fault_heal();
		snprintf(text, sizeof(text), "%s v%d: %s%s%s", matrix_api_name(api), version,
			 row->name, test.is_skipped ? " # SKIP " : "",
			 test.is_skipped ? test.why : "");
		report(run, run->number, passed, text, test.why);
	}
}

/* --- the table against what the broker says ----------------------------------------------------
 */

static const struct matrix_api *find_api(int16_t key)
{
	for (size_t i = 0; i < matrix_apis_count; i++)
		if (matrix_apis[i]->key == key)
			return matrix_apis[i];
	return NULL;
}

static bool is_elsewhere(const struct kafka_api_versions_response_api *told)
{
	for (size_t i = 0; i < matrix_elsewhere_count; i++)
		if (matrix_elsewhere[i].key == told->api_key)
			return matrix_elsewhere[i].first == told->min_version &&
			       matrix_elsewhere[i].last == told->max_version;
	return false;
}

static void compare_advertised(struct test *t)
{
	struct kafka_api_versions_request request = { 0 };
	const struct kafka_api_versions_response *response =
		test_call(t, KAFKA_API_API_VERSIONS, 0, &request);

	for (size_t i = 0; i < response->api_keys_count; i++) {
		const struct kafka_api_versions_response_api *told = &response->api_keys[i];
		const struct matrix_api *api = find_api(told->api_key);
		if (!api && is_elsewhere(told))
			continue;
		if (!api)
			FAIL(t, "API %d is advertised and has no table", told->api_key);
		if (told->min_version != api->first || told->max_version != api->last)
			FAIL(t, "%s is advertised from %d to %d, the table has %d to %d",
			     matrix_api_name(api), told->min_version, told->max_version, api->first,
			     api->last);
	}
	CHECK_INT(t, response->api_keys_count,
		  (int64_t)(matrix_apis_count + matrix_elsewhere_count));
}

static void check_tables(struct run *run)
{
	char why[TEST_WHY_BYTES], text[256];
	static struct test test;
	int number = run->number;

	for (size_t i = 0; i < matrix_apis_count; i++) {
		matrix_check(matrix_apis[i], why);
		snprintf(text, sizeof(text), "%s: no cell of the table is empty",
			 matrix_api_name(matrix_apis[i]));
		report(run, ++number, why[0] == '\0', text, why);
	}
	matrix_check_elsewhere(why);
	report(run, ++number, why[0] == '\0', "the tests of other programs exist", why);
	bool passed = test_run(&test, KAFKA_API_API_VERSIONS, 0, compare_advertised);
	report(run, ++number, passed, "what is advertised is what the table has", test.why);
}

static int run_all(struct run *run)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < matrix_apis_count; i++) {
		struct matrix_row rows[MATRIX_API_ROWS_MAX];
		size_t count = matrix_rows(matrix_apis[i], rows);
		for (size_t k = 0; k < count; k++)
			run_row(run, matrix_apis[i], &rows[k]);
	}
	if (!run->words[0])
		check_tables(run);
	printf("1..%d\n", run->ran);
	return run->failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	static char host[64];

	if (argc == 2 && strcmp(argv[1], "--table") == 0) {
		matrix_print();
		return EXIT_SUCCESS;
	}
	if (argc < 2 || text_host_port(argv[1], host, sizeof(host), &test_port)) {
		fprintf(stderr, "usage: kafka_matrix HOST:PORT [WORD...]\n"
				"       kafka_matrix --table\n");
		return 2;
	}
	test_host = host;
	fault_bucket = getenv("MATRIX_BUCKET");
	if (getenv("MATRIX_PID"))
		fault_node_pid = (int)strtol(getenv("MATRIX_PID"), NULL, 10);
	struct run run = { .words = argv + 2 };
	return run_all(&run);
}

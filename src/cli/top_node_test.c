#include "cli/top_node.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/top_screen.h"

static struct top_page before, now;
static struct prices prices;

static json_t *node(const char *old, const char *new)
{
	buf_init(&before.text);
	buf_init(&now.text);
	buf_add_text(&before.text, old);
	buf_add_text(&now.text, new);
	before.at_s = 10;
	now.at_s = 12;
	now.wall_s = 1000;
	prices_default(&prices);
	json_t *ret = top_node_json(&now, &before, &prices);
	buf_done(&before.text);
	buf_done(&now.text);
	return ret;
}

static double number(const json_t *n, const char *part, const char *name)
{
	const json_t *value = json_object_get(json_object_get(n, part), name);

	return json_is_number(value) ? json_number_value(value) : -1;
}

static void assert_near(double value, double wanted)
{
	assert_true(value > wanted - 1e-6 && value < wanted + 1e-6);
}

static void test_counters_become_rates(void **state)
{
	json_t *n = node("hanse_kafka_connections 1\n"
			 "hanse_kafka_requests_total{api=\"Produce\"} 10\n"
			 "hanse_kafka_requests_total{api=\"Fetch\"} 100\n"
			 "hanse_kafka_sent_bytes_total 500\n",
			 "hanse_kafka_connections 3\n"
			 "hanse_kafka_requests_total{api=\"Produce\"} 30\n"
			 "hanse_kafka_requests_total{api=\"Fetch\"} 110\n"
			 "hanse_kafka_sent_bytes_total 100\n");

	(void)state;
	assert_near(number(n, "kafka", "connections"), 3);
	assert_near(number(n, "kafka", "requests_per_second"), 15);
	assert_near(number(n, "produce", "requests_per_second"), 10);
	assert_near(number(n, "kafka", "sent_bytes_per_second"), 50); /* began anew */
	assert_near(number(n, "kafka", "errors_per_second"), -1);     /* there is none */
	json_decref(n);
}

static void test_without_a_page_before_there_are_no_rates(void **state)
{
	json_t *n = node("", "hanse_kafka_connections 3\nhanse_kafka_sent_bytes_total 100\n");

	(void)state;
	assert_near(number(n, "kafka", "connections"), 3);
	assert_near(number(n, "kafka", "sent_bytes_per_second"), -1);
	json_decref(n);
}

static void test_quantiles_are_of_what_came_since(void **state)
{
#define BUCKET(le, count) "hanse_file_put_duration_seconds_bucket{le=\"" le "\"} " count "\n"
	json_t *n = node("hanse_kafka_connections 1\n" BUCKET("0.1", "100") BUCKET("1", "100")
				 BUCKET("+Inf", "100"),
			 "hanse_kafka_connections 1\n" BUCKET("0.1", "100") BUCKET("1", "110")
				 BUCKET("+Inf", "110"));

	(void)state;
	assert_near(number(n, "files", "p50_seconds"), 0.1 + 0.9 / 2);
	json_decref(n);
	n = node("", "hanse_kafka_connections 1\n" BUCKET("0.1", "0") BUCKET("1", "0")
			     BUCKET("+Inf", "5"));
	assert_near(number(n, "files", "p99_seconds"), 1); /* more than the last limit */
	json_decref(n);
}

static void test_money_is_of_known_stores_only(void **state)
{
#define MONTH(bucket, count)                                                                       \
	"hanse_month_bucket_requests{bucket=\"" bucket "\",purpose=\"records\","                   \
	"operation=\"put\"} " count "\n"
	json_t *n = node("", "hanse_catalog_bytes 1\n" MONTH("file:/x", "1000"));

	(void)state;
	assert_near(number(n, "month", "so_far_dollars"), 0);
	json_decref(n);
	n = node("",
		 "hanse_catalog_bytes 1\n" MONTH("s3://x?endpoint=http://unknown.example", "1"));
	assert_near(number(n, "month", "so_far_dollars"), -1);
	assert_near(number(n, "month", "requests"), 1);
	json_decref(n);
	n = node("", "hanse_catalog_bytes 1\n" MONTH(
			     "s3://x?endpoint=https://s3.eu-central-1.amazonaws.com", "2000"));
	assert_near(number(n, "month", "so_far_dollars"), 0.01);
	json_decref(n);
}

static void test_the_busiest_come_first(void **state)
{
	json_t *n = node("hanse_topic_produced_records_total{topic=\"a\"} 0\n"
			 "hanse_topic_produced_records_total{topic=\"b\"} 0\n"
			 "hanse_topic_produced_records_total{topic=\"c\"} 5\n",
			 "hanse_topic_produced_records_total{topic=\"a\"} 2\n"
			 "hanse_topic_produced_records_total{topic=\"b\"} 8\n"
			 "hanse_topic_produced_records_total{topic=\"c\"} 5\n"
			 "hanse_consumer_group_lag_records{group=\"g\",topic=\"a\"} 7\n"
			 "hanse_role_up{role=\"control\"} 0\n");
	json_t *topics = json_object_get(n, "topics"), *groups = json_object_get(n, "groups");

	(void)state;
	assert_int_equal(json_array_size(topics), 2);
	assert_string_equal(json_string_value(json_object_get(json_array_get(topics, 0), "topic")),
			    "b");
	assert_near(json_number_value(
			    json_object_get(json_array_get(topics, 0), "records_per_second")),
		    4);
	assert_int_equal(json_array_size(groups), 1);
	assert_int_equal(json_array_size(json_object_get(n, "roles")), 2);
	json_decref(n);
}

static void expect_text(const char *name, double value, const char *wanted)
{
	json_t *number = json_real(value);
	char text[64];

	top_value_text(name, number, text, sizeof(text));
	assert_string_equal(text, wanted);
	json_decref(number);
}

static void test_values_have_the_unit_of_their_name(void **state)
{
	(void)state;
	expect_text("memory_bytes", 999, "999 B");
	expect_text("memory_bytes", 12345678, "12.3 MB");
	expect_text("sent_bytes_per_second", 1500, "1.5 kB/s");
	expect_text("p99_seconds", 0.0042, "4.2 ms");
	expect_text("p99_seconds", 0.042, "42 ms");
	expect_text("p99_seconds", 0.00004, "40 us");
	expect_text("hits_percent", 99.25, "99.2 %");
	expect_text("so_far_dollars", 1.5, "$1.50");
	expect_text("records_per_second", 1234.5, "1234/s");
	expect_text("connections", 3, "3");
	expect_text("snapshot_age_seconds", 119, "119.0 s");
	expect_text("snapshot_age_seconds", 7199, "120 min");
	expect_text("snapshot_age_seconds", 7200, "2 h");
	expect_text("snapshot_age_seconds", 10 * 24 * 3600, "10 d");
}

static void test_compaction_is_what_waits_and_what_was_done(void **state)
{
#define JOBS(merge, keys)                                                                          \
	"hanse_compaction_jobs_total{kind=\"merge\"} " merge "\n"                                  \
	"hanse_compaction_jobs_total{kind=\"keys\"} " keys "\n"
#define READ(merge, keys)                                                                          \
	"hanse_compaction_read_bytes_total{kind=\"merge\"} " merge "\n"                            \
	"hanse_compaction_read_bytes_total{kind=\"keys\"} " keys "\n"
	json_t *n = node(JOBS("1", "0") READ("100", "0"),
			 JOBS("3", "2") READ("500", "200") "hanse_compaction_running_jobs{"
							   "kind=\"merge\"} 2\n"
							   "hanse_compaction_running_jobs{"
							   "kind=\"keys\"} 1\n"
							   "hanse_compaction_waiting_runs{"
							   "level=\"3\"} 7\n");

	(void)state;
	assert_near(number(n, "compaction", "running_jobs"), 3);
	assert_near(number(n, "compaction", "level_3_waiting_runs"), 7);
	assert_near(number(n, "compaction", "level_0_waiting_runs"), -1);
	assert_near(number(n, "compaction", "read_bytes_per_second"), 300);
	assert_near(number(n, "compaction", "merges"), 3);
	assert_near(number(n, "compaction", "key_passes"), 2);
	json_decref(n);
}

static void test_hits_are_of_what_came_since_or_of_all(void **state)
{
#define READS(hits, misses)                                                                        \
	"hanse_kafka_connections 1\n"                                                              \
	"hanse_block_cache_hits_total " hits "\nhanse_block_cache_misses_total " misses "\n"
	json_t *n = node(READS("60", "40"), READS("63", "41"));

	(void)state;
	assert_near(number(n, "cache", "hits_percent"), 75);
	json_decref(n);
	n = node(READS("60", "40"), READS("60", "40"));
	assert_near(number(n, "cache", "hits_percent"), 60);
	assert_near(number(n, "cache", "misses_per_second"), 0);
	json_decref(n);
	n = node(READS("0", "0"), READS("0", "0"));
	assert_near(number(n, "cache", "hits_percent"), -1);
	json_decref(n);
}

static void test_a_snapshot_has_an_age(void **state)
{
#define TAKEN(at) "hanse_journal_snapshot_timestamp_seconds{role=\"control\"} " at "\n"
	json_t *n = node("", "hanse_journal_leading 1\n" TAKEN("900.5"));

	(void)state;
	assert_near(number(n, "journal", "snapshot_age_seconds"), 99.5);
	json_decref(n);
	n = node("", "hanse_journal_leading 1\n" TAKEN("1001")); /* its clock is ahead */
	assert_near(number(n, "journal", "snapshot_age_seconds"), 0);
	json_decref(n);
	n = node("", "hanse_journal_leading 1\n"); /* there is none */
	assert_near(number(n, "journal", "snapshot_age_seconds"), -1);
	json_decref(n);
}

static void test_files_of_the_last_level_are_shown(void **state)
{
	json_t *n = node("", "hanse_catalog_bytes 1\nhanse_files{level=\"4\"} 9\n");

	(void)state;
	assert_near(number(n, "catalog", "level_4_files"), 9);
	json_decref(n);
}

/* Groups may be called anything.  U+009B begins what steers a terminal. */
static void test_names_do_not_steer_the_terminal(void **state)
{
	struct top_screen screen = { .columns = 0 };
	char text[16384] = "";

	(void)state;
	json_t *all = json_pack("{s:[{s:s, s:[{s:s}]}]}", "nodes", "node", "a", "groups", "group",
				"\xc2\x9b"
				"2J\x1b[2J");
	FILE *out = fmemopen(text, sizeof(text) - 1, "w");
	top_screen_print(out, all, &screen);
	fclose(out);
	assert_non_null(strstr(text, "2J?[2J"));
	assert_null(strstr(text, "\xc2\x9b"));
	json_decref(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counters_become_rates),
		cmocka_unit_test(test_without_a_page_before_there_are_no_rates),
		cmocka_unit_test(test_quantiles_are_of_what_came_since),
		cmocka_unit_test(test_money_is_of_known_stores_only),
		cmocka_unit_test(test_the_busiest_come_first),
		cmocka_unit_test(test_values_have_the_unit_of_their_name),
		cmocka_unit_test(test_compaction_is_what_waits_and_what_was_done),
		cmocka_unit_test(test_hits_are_of_what_came_since_or_of_all),
		cmocka_unit_test(test_a_snapshot_has_an_age),
		cmocka_unit_test(test_files_of_the_last_level_are_shown),
		cmocka_unit_test(test_names_do_not_steer_the_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

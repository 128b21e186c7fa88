#include "server/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char why[OPTION_WHY_BYTES];

static enum err read_flags(struct options *o, char **argv)
{
	*o = (struct options) { 0 };
	why[0] = '\0';
	return options_from_flags(o, argv, why);
}

static void test_without_anything_there_are_defaults(void **state)
{
	struct options o = { 0 };

	(void)state;
	assert_int_equal(options_finish(&o, why), OK);
	assert_string_equal(o.values[OPTION_BUCKET], "file:./var/bucket");
	assert_string_equal(o.values[OPTION_JOURNAL], "file:./var/bucket");
	assert_string_equal(o.kafka.host, "127.0.0.1");
	assert_int_equal(o.kafka.port, 9092);
	assert_string_equal(o.values[OPTION_ADVERTISE], "127.0.0.1:9092");
	assert_string_equal(o.values[OPTION_PEER], "127.0.0.1:9192");
	assert_int_equal(o.default_partitions, 1);
	assert_int_equal(o.puts_per_s, 25);
	assert_int_equal(o.agent_count, 1);
	assert_true(o.has_control && o.has_streams);
	assert_int_equal(o.control_count, 1);
}

static void test_flags_take_both_forms(void **state)
{
	struct options o;
	char *argv[] = { "--kafka", "[::1]:9100", "--bucket=file:/x?class=cas", NULL };

	(void)state;
	assert_int_equal(read_flags(&o, argv), OK);
	assert_int_equal(options_finish(&o, why), OK);
	assert_string_equal(o.kafka.host, "::1");
	assert_string_equal(o.values[OPTION_PEER], "[::1]:9200");
	assert_string_equal(o.values[OPTION_BUCKET], "file:/x?class=cas");
	assert_string_equal(o.values[OPTION_JOURNAL], "file:/x?class=cas");
}

static void test_a_mistyped_flag_is_refused_with_the_nearest_one(void **state)
{
	struct options o;
	char *argv[] = { "--buckte", "x", NULL };

	(void)state;
	assert_int_equal(read_flags(&o, argv), ERR_INVALID);
	assert_non_null(strstr(why, "did you mean \"bucket\"?"));
}

static void test_a_flag_needs_a_value_and_is_given_once(void **state)
{
	struct options o;
	char *bare[] = { "--bucket", NULL };
	char *empty[] = { "--bucket=", NULL };
	char *twice[] = { "--site=a", "--site=b", NULL };
	char *word[] = { "now", NULL };

	(void)state;
	assert_int_equal(read_flags(&o, bare), ERR_INVALID);
	assert_int_equal(read_flags(&o, empty), ERR_INVALID);
	assert_int_equal(read_flags(&o, twice), ERR_INVALID);
	assert_int_equal(read_flags(&o, word), ERR_INVALID);
}

static void test_a_flag_wins_over_the_environment_and_that_over_the_file(void **state)
{
	struct options o;
	char path[] = "/tmp/hanse-options-XXXXXX";
	char *argv[] = { "--site", "flag", NULL };
	char *environment[] = {
		"PATH=/bin",	     "HANSE_SITE=variable", "HANSE_DEFAULT_PARTITIONS=4",
		"HANSE_STATUS_FD=3", "HANSE_WAS_READY=yes", NULL
	};
	int fd = mkstemp(path);

	(void)state;
	dprintf(fd, "# a comment\n\nsite = file\ndefault-partitions=7\nlog-level = warn \n");
	close(fd);
	assert_int_equal(read_flags(&o, argv), OK);
	assert_int_equal(options_from_environment(&o, environment, why), OK);
	assert_int_equal(options_from_file(&o, path, why), OK);
	unlink(path);
	assert_int_equal(options_finish(&o, why), OK);
	assert_string_equal(o.values[OPTION_SITE], "flag");
	assert_int_equal(o.default_partitions, 4);
	assert_string_equal(o.values[OPTION_LOG_LEVEL], "warn");
}

static void test_unknown_names_in_environment_and_file_are_refused(void **state)
{
	struct options o = { 0 };
	char path[] = "/tmp/hanse-options-XXXXXX";
	char *environment[] = { "HANSE_BUCKIT=x", NULL };
	int fd = mkstemp(path);

	(void)state;
	assert_int_equal(options_from_environment(&o, environment, why), ERR_INVALID);
	assert_non_null(strstr(why, "bucket"));
	dprintf(fd, "site = a\npartitions = 7\n");
	close(fd);
	assert_int_equal(options_from_file(&o, path, why), ERR_INVALID);
	assert_non_null(strstr(why, ":2:"));
	unlink(path);
	assert_int_equal(options_from_file(&o, "/nonexistent/hanse.conf", why), OK);
}

static void test_values_without_sense_are_refused(void **state)
{
	static char *const bad[][2] = {
		{ "--kafka", "9092" },
		{ "--kafka", "localhost:0" },
		{ "--kafka", "127.0.0.1:99999" },
		{ "--kafka", "127.0.0.1:65500" },
		{ "--default-partitions", "0" },
		{ "--default-partitions", "10001" },
		{ "--default-partitions", "x" },
		{ "--roles", "kontrol" },
		{ "--roles", "streams,streams" },
		{ "--journal", "file:a,file:b" },
		{ "--journal", "file:a,file:b,file:a" },
		{ "--journal", "file:a,file:b,file:c,file:d,file:e,file:f,file:g" },
		{ "--log-level", "loud" },
		{ "--peer", "nowhere" },
		{ "--seal", "maybe" },
		{ "--auto-create-topics", "maybe" },
		{ "--kafka-certificate", "alone.pem" },
		{ "--kafka-certificate-key", "alone.key" },
		{ "--kafka-client-ca", "alone.pem" },
		{ "--kafka-jwks", "alone.json" },
		{ "--kafka-token-issuer", "alone" },
		{ "--kafka-reauth-ms", "999" },
		{ "--kafka-reauth-ms", "soon" },
		{ "--puts-per-second", "3" },
		{ "--puts-per-second", "1001" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct options o;
		char *argv[] = { bad[i][0], bad[i][1], NULL };
		assert_int_equal(read_flags(&o, argv), OK);
		assert_int_equal(options_finish(&o, why), ERR_INVALID);
		assert_true(strlen(why) > 10);
	}
}

static enum err finish_flags(struct options *o, char **argv)
{
	enum err err = read_flags(o, argv);

	return err ? err : options_finish(o, why);
}

static void test_a_role_alone_needs_no_place_of_the_other(void **state)
{
	char *control[] = { "--roles=control", "--journal=file:j", NULL };
	char *streams[] = { "--roles=streams", "--bucket=file:b", "--run-dir=/r", NULL };
	char *both_default[] = { "--roles=control", NULL };
	struct options o;

	(void)state;
	assert_int_equal(finish_flags(&o, control), OK);
	assert_string_equal(o.values[OPTION_BUCKET], "");
	assert_string_equal(o.values[OPTION_JOURNAL], "file:j");
	assert_int_equal(o.control_count, 0);
	assert_int_equal(finish_flags(&o, streams), OK);
	assert_string_equal(o.values[OPTION_JOURNAL], "");
	assert_int_equal(o.control_count, 1);
	assert_string_equal(o.controls[0].path, "/r/control-9092.sock");
	assert_int_equal(finish_flags(&o, both_default), OK);
	assert_string_equal(o.values[OPTION_JOURNAL], "file:./var/bucket");
}

static void test_what_others_keep_is_sealed_unless_told_otherwise(void **state)
{
	static const struct {
		const char *flags[3];
		bool is_sealed;
	} rows[] = {
		{ { NULL }, false },
		{ { "--bucket=s3://name" }, true },
		{ { "--bucket=fault:s3://name" }, true },
		{ { "--journal=file:a,s3://name,file:b" }, true },
		{ { "--bucket=s3://name", "--seal=no" }, false },
		{ { "--key-file=k" }, true },
		{ { "--key-file=k", "--seal=yes" }, true },
		{ { "--seal=yes" }, true },
	};
	char *contradiction[] = { "--key-file=k", "--seal=no", NULL };
	struct options o;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *argv[] = { (char *)(uintptr_t)rows[i].flags[0],
				 (char *)(uintptr_t)rows[i].flags[1], NULL };

		assert_int_equal(finish_flags(&o, argv), OK);
		assert_int_equal(o.is_sealed, rows[i].is_sealed);
		assert_string_equal(o.values[OPTION_SEAL], o.is_sealed ? "yes" : "no");
	}
	assert_int_equal(finish_flags(&o, contradiction), ERR_INVALID);
	assert_non_null(strstr(why, "contradict"));
}

static void test_streams_may_use_the_control_of_others(void **state)
{
	char *two[] = { "--roles=streams", "--control=unix:/a/1.sock,unix:b.sock", NULL };
	char *with_control[] = { "--control=unix:/a/1.sock", NULL };
	char *remote[] = { "--roles=streams", "--control=192.0.2.1:9192", NULL };
	char *with_keys[] = { "--roles=streams", "--control=unix:/a,[::1]:9192,host.example:1",
			      "--key-file=k", NULL };
	char *neither[] = { "--roles=streams", "--control=/a/1.sock", "--key-file=k", NULL };
	char *empty[] = { "--roles=streams", "--control=unix:/a,", NULL };
	char *nothing[] = { "--roles=streams", "--control=unix:", NULL };
	char many[OPTION_VALUE_BYTES_MAX] = "--control=unix:0";
	char *too_many[] = { "--roles=streams", many, NULL };
	char long_path[OPTION_PATH_BYTES + 16];
	char *too_long[] = { "--roles=streams", long_path, NULL };
	struct options o;

	(void)state;
	assert_int_equal(finish_flags(&o, two), OK);
	assert_int_equal(o.control_count, 2);
	assert_string_equal(o.controls[0].path, "/a/1.sock");
	assert_string_equal(o.controls[1].path, "b.sock");
	assert_int_equal(finish_flags(&o, with_control), ERR_INVALID);
	assert_non_null(strstr(why, "--roles streams"));
	assert_int_equal(finish_flags(&o, remote), ERR_INVALID);
	assert_non_null(strstr(why, "--key-file"));
	assert_int_equal(finish_flags(&o, with_keys), OK);
	assert_int_equal(o.control_count, 3);
	assert_string_equal(o.controls[0].path, "/a");
	assert_string_equal(o.controls[1].path, "");
	assert_string_equal(o.controls[1].address.host, "::1");
	assert_string_equal(o.controls[2].address.host, "host.example");
	assert_int_equal(o.controls[2].address.port, 1);
	assert_int_equal(finish_flags(&o, neither), ERR_INVALID);
	assert_int_equal(finish_flags(&o, empty), ERR_INVALID);
	assert_int_equal(finish_flags(&o, nothing), ERR_INVALID);
	for (int i = 1; i < OPTION_CONTROLS_MAX; i++)
		strncat(many, ",unix:1", sizeof(many) - strlen(many) - 1);
	assert_int_equal(finish_flags(&o, too_many), OK);
	strncat(many, ",unix:2", sizeof(many) - strlen(many) - 1);
	assert_int_equal(finish_flags(&o, too_many), ERR_INVALID);
	snprintf(long_path, sizeof(long_path), "--control=unix:%0*d", OPTION_PATH_BYTES, 0);
	assert_int_equal(finish_flags(&o, too_long), ERR_INVALID);
}

static void test_agents_take_ports_that_nobody_else_has(void **state)
{
	const struct {
		char *flags[3];
		const char *problem; /* NULL: fine */
	} cases[] = {
		{ { "--agents=16" }, NULL },
		{ { "--agents=0" }, "1 to 16" },
		{ { "--agents=17" }, "1 to 16" },
		{ { "--agents=2", "--roles=control" }, "--roles streams" },
		{ { "--agents=2", "--kafka=127.0.0.1:65535", "--peer=127.0.0.1:9" }, "not enough" },
		{ { "--agents=2", "--advertise=127.0.0.1:65535" }, "not enough" },
		{ { "--agents=3", "--peer=127.0.0.1:9094" }, "same port 9094" },
		{ { "--agents=2", "--peer=127.0.0.1:9094" }, NULL },
		{ { "--agents=2", "--metrics=127.0.0.1:9093" }, "ports 9092 to 9093" },
		{ { "--agents=2", "--key-file=k", "--blocks=127.0.0.1:9093" }, "--kafka (" },
		{ { "--agents=2", "--key-file=k", "--blocks=127.0.0.1:9091" }, "--blocks (" },
		{ { "--agents=2", "--key-file=k", "--blocks=127.0.0.1:9090" }, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *argv[4] = { cases[i].flags[0], cases[i].flags[1], cases[i].flags[2], NULL };
		struct options o;
		assert_int_equal(read_flags(&o, argv), OK);
		assert_int_equal(options_finish(&o, why), cases[i].problem ? ERR_INVALID : OK);
		if (cases[i].problem && !strstr(why, cases[i].problem))
			fail_msg("%zu: %s", i, why);
	}
}

static void test_blocks_are_given_only_where_it_is_said(void **state)
{
	static const struct {
		char *flags[5];
		const char *complaint; /* NULL: it is right */
	} rows[] = {
		{ { "--key-file=k" }, NULL },
		{ { "--key-file=k", "--blocks=none" }, NULL },
		{ { "--key-file=k", "--blocks=192.0.2.7:9392" }, NULL },
		{ { "--blocks=192.0.2.7:9392" }, "--key-file" },
		{ { "--key-file=k", "--blocks=0.0.0.0:9392" }, "leads each to itself" },
		{ { "--key-file=k", "--blocks=[::]:9392" }, "leads each to itself" },
		{ { "--key-file=k", "--blocks=192.0.2.7" }, "--blocks" },
		{ { "--key-file=k", "--blocks=127.0.0.1:9092" }, "--kafka have the same port" },
		{ { "--key-file=k", "--blocks=127.0.0.1:9192" }, "--peer have the same port" },
		{ { "--key-file=k", "--blocks=127.0.0.1:9292" }, "--metrics have the same port" },
		{ { "--key-file=k", "--blocks=127.0.0.1:9292", "--metrics=none" }, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct options o;
		char *argv[5];
		memcpy(argv, rows[i].flags, sizeof(argv));
		enum err err = finish_flags(&o, argv);
		assert_int_equal(err, rows[i].complaint ? ERR_INVALID : OK);
		if (err)
			assert_non_null(strstr(why, rows[i].complaint));
		else
			assert_int_equal(o.blocks.port != 0,
					 strstr(o.values[OPTION_BLOCKS], ":") != NULL);
		assert_false(!err && i < 2 && o.blocks.port != 0);
	}
}

/* Nodes tell each other by this address: two that listen on 0.0.0.0 must not have the same. */
static void test_a_node_that_listens_everywhere_is_named_as_advertised(void **state)
{
	char *argv[] = { "--kafka=0.0.0.0:9092", "--advertise=192.0.2.7:9999", NULL };
	char *given[] = { "--kafka=0.0.0.0:9092", "--peer=192.0.2.8:1234", NULL };
	char *again[] = { argv[0], argv[1], "--peer=192.0.2.7:9192", NULL }; /* as roles get it */
	struct options o;

	(void)state;
	assert_int_equal(read_flags(&o, argv), OK);
	assert_int_equal(options_finish(&o, why), OK);
	assert_string_equal(o.values[OPTION_PEER], "192.0.2.7:9192");
	assert_string_equal(o.peer_listen, "0.0.0.0");
	assert_int_equal(o.peer.port, 9192);
	assert_int_equal(read_flags(&o, again), OK);
	assert_int_equal(options_finish(&o, why), OK);
	assert_string_equal(o.values[OPTION_PEER], "192.0.2.7:9192");
	assert_string_equal(o.peer_listen, "0.0.0.0");
	assert_int_equal(read_flags(&o, given), OK);
	assert_int_equal(options_finish(&o, why), OK);
	assert_string_equal(o.values[OPTION_PEER], "192.0.2.8:1234");
	assert_string_equal(o.peer_listen, "192.0.2.8");
}

static void test_an_empty_bucket_may_become_a_cluster_unless_it_is_said(void **state)
{
	static struct options o;
	char *nothing[] = { NULL };
	char *no[] = { "--new-cluster", "no", NULL };
	char *maybe[] = { "--new-cluster=maybe", NULL };

	(void)state;
	memset(&o, 0, sizeof(o));
	assert_int_equal(options_from_flags(&o, nothing, why), OK);
	assert_int_equal(options_finish(&o, why), OK);
	assert_true(o.may_create);
	memset(&o, 0, sizeof(o));
	assert_int_equal(options_from_flags(&o, no, why), OK);
	assert_int_equal(options_finish(&o, why), OK);
	assert_false(o.may_create);
	memset(&o, 0, sizeof(o));
	assert_int_equal(options_from_flags(&o, maybe, why), OK);
	assert_int_equal(options_finish(&o, why), ERR_INVALID);
}

static void test_help_has_the_meaning_and_defaults_of_each_command(void **state)
{
	static const struct {
		enum option_command command;
		const char *has, *has_not;
	} cases[] = {
		{ OPTIONS_SERVE, "where the records are", "/run/hanse" },
		{ OPTIONS_SERVE, "file:./var/bucket", "--state" },
		{ OPTIONS_UP, "for root /run/hanse", "where the records are" },
		{ OPTIONS_UP, "(default: in --state)", "file:./var/bucket" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		static char text[16384];
		FILE *out = fmemopen(text, sizeof(text), "w");

		options_print(out, cases[i].command);
		fclose(out);
		assert_non_null(strstr(text, cases[i].has));
		assert_null(strstr(text, cases[i].has_not));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_anything_there_are_defaults),
		cmocka_unit_test(test_flags_take_both_forms),
		cmocka_unit_test(test_a_mistyped_flag_is_refused_with_the_nearest_one),
		cmocka_unit_test(test_a_flag_needs_a_value_and_is_given_once),
		cmocka_unit_test(test_a_flag_wins_over_the_environment_and_that_over_the_file),
		cmocka_unit_test(test_unknown_names_in_environment_and_file_are_refused),
		cmocka_unit_test(test_values_without_sense_are_refused),
		cmocka_unit_test(test_a_role_alone_needs_no_place_of_the_other),
		cmocka_unit_test(test_what_others_keep_is_sealed_unless_told_otherwise),
		cmocka_unit_test(test_streams_may_use_the_control_of_others),
		cmocka_unit_test(test_agents_take_ports_that_nobody_else_has),
		cmocka_unit_test(test_blocks_are_given_only_where_it_is_said),
		cmocka_unit_test(test_a_node_that_listens_everywhere_is_named_as_advertised),
		cmocka_unit_test(test_an_empty_bucket_may_become_a_cluster_unless_it_is_said),
		cmocka_unit_test(test_help_has_the_meaning_and_defaults_of_each_command),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

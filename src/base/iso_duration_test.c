/* What java.time.Duration.parse() of OpenJDK 17 said of each of these. */
#include "base/iso_duration.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { REFUSED = -1 };

static const struct {
	const char *text;
	int64_t ms;
} cases[] = {
	{ "PT1H", 3600000 },
	{ "P1D", 86400000 },
	{ "P01D", 86400000 },
	{ "P2DT3H4M", 183840000 },
	{ "PT20.345S", 20345 },
	{ "pt1h", 3600000 },
	{ "PT0S", 0 },
	{ "PT1,5S", 1500 },
	{ "PT1.S", 1000 },
	{ "PT0.9999S", 999 },
	{ "PT0.123456789S", 123 },
	{ "P-1DT48H", 86400000 },
	{ "-PT-5M", 300000 },
	{ "+PT5M", 300000 },
	{ "-P1DT-25H", 3600000 },
	{ "PT1M-1S", 59000 },
	{ "PT1M-0.5S", 59500 },
	{ "PT9223372036854775807S", INT64_MAX },
	{ "P106751991167300D", INT64_MAX },
	{ "", REFUSED },
	{ "P", REFUSED },
	{ "PT", REFUSED },
	{ "P1DT", REFUSED },
	{ "1H", REFUSED },
	{ "P1", REFUSED },
	{ "P1W", REFUSED },
	{ "P1Y", REFUSED },
	{ "P1H", REFUSED },
	{ "P1D5H", REFUSED },
	{ "PT1S5H", REFUSED },
	{ "PT1H1H", REFUSED },
	{ "PT1.5H", REFUSED },
	{ "PT1N5S", REFUSED },
	{ "PT.5S", REFUSED },
	{ "PT+S", REFUSED },
	{ "PT--1S", REFUSED },
	{ "PT 1H", REFUSED },
	{ "PT1H ", REFUSED },
	{ " PT1H", REFUSED },
	{ "PT1.1234567890S", REFUSED },
	{ "PT9223372036854775808S", REFUSED },
	{ "PT99999999999999999999H", REFUSED },
	{ "P106751991167301D", REFUSED },
	/* less than nothing */
	{ "-PT5M", REFUSED },
	{ "PT-6H+3M", REFUSED },
	{ "PT-0.5S", REFUSED },
	{ "PT1M-61S", REFUSED },
	{ "PT-9223372036854775808S", REFUSED },
	{ "PT-9223372036854775808.5S", REFUSED },
	{ "-PT-9223372036854775808S", REFUSED },
};

static void test_durations_are_read_as_java_reads_them(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t ms = REFUSED;
		enum err err = iso_duration_parse(slice_from(cases[i].text), &ms);
		if (ms != cases[i].ms || (err == OK) != (ms != REFUSED))
			fail_msg("'%s': %lld", cases[i].text, (long long)ms);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_durations_are_read_as_java_reads_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "server/privilege.h"

#include <linux/capability.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* The set of /proc/self/status. */
static uint64_t set_of(const char *name)
{
	char line[256];
	uint64_t ret = UINT64_MAX;
	FILE *file = fopen("/proc/self/status", "re");

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, name, strlen(name)) == 0)
			ret = strtoull(line + strlen(name) + 1, NULL, 16);
	if (file)
		fclose(file);
	return ret;
}

static bool keeps_what_it_may(void)
{
	uint64_t before = set_of("CapEff"), kept = PRIVILEGE(CAP_NET_BIND_SERVICE);

	privilege_keep(kept);
	if (privilege_has(CAP_NET_BIND_SERVICE) != ((before & kept) != 0) ||
	    privilege_has(CAP_NET_ADMIN))
		return false;
	return set_of("CapEff") == (before & kept) && set_of("CapPrm") == (before & kept) &&
	       (before == 0 || (set_of("CapBnd") & ~kept) == 0) && set_of("NoNewPrivs") == 1;
}

static void test_only_what_is_kept_is_left(void **state)
{
	int status = 0;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(keeps_what_it_may() ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_what_is_kept_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

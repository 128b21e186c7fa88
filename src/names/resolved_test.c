#include "names/resolved.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/scope.h"

struct place {
	char root[32];
	char path[128];
};

static const char *below(struct place *p, const char *name)
{
	snprintf(p->path, sizeof(p->path), "%s/%s", p->root, name);
	return p->path;
}

static void write_file(const char *path, const char *text, mode_t mode)
{
	AUTO_FD fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void open_place(struct place *p)
{
	memcpy(p->root, "/tmp/resolved-test-XXXXXX", 26);
	assert_non_null(mkdtemp(p->root));
	assert_int_equal(mkdir(below(p, "etc"), 0700), 0);
	assert_int_equal(mkdir(below(p, "run"), 0700), 0);
	assert_int_equal(mkdir(below(p, "run/systemd"), 0700), 0);
}

static void close_place(struct place *p)
{
	static const char *const names[] = { "etc/resolv.conf", "etc/nsswitch.conf", "resolvectl",
					     "log" };
	static const char *const directories[] = { "run/systemd/resolve", "run/systemd", "run",
						   "etc", "" };

	for (size_t i = 0; i < 4; i++)
		unlink(below(p, names[i]));
	for (size_t i = 0; i < 5; i++)
		rmdir(below(p, directories[i]));
}

static void test_it_is_used_where_it_runs_and_is_asked(void **state)
{
	struct place p;

	(void)state;
	open_place(&p);
	assert_false(resolved_is_used(p.root));
	write_file(below(&p, "etc/resolv.conf"), "search x\nnameserver  127.0.0.53\n", 0600);
	assert_false(resolved_is_used(p.root)); /* it does not run */
	assert_int_equal(mkdir(below(&p, "run/systemd/resolve"), 0700), 0);
	assert_true(resolved_is_used(p.root));
	write_file(below(&p, "etc/resolv.conf"), "#nameserver 127.0.0.53\nnameserver 192.0.2.1\n",
		   0600);
	assert_false(resolved_is_used(p.root));
	write_file(below(&p, "etc/nsswitch.conf"), "hosts: files resolve [!UNAVAIL=return] dns",
		   0600);
	assert_true(resolved_is_used(p.root));
	close_place(&p);
}

static void test_the_domains_of_the_machine_are_known(void **state)
{
	struct place p;

	(void)state;
	open_place(&p);
	assert_false(resolved_is_own_domain(p.root, SLICE("corp.example")));
	write_file(below(&p, "etc/resolv.conf"),
		   "nameserver 192.0.2.1\nsearch lab.corp.example home.example\n", 0600);
	assert_true(resolved_is_own_domain(p.root, SLICE("home.example")));
	assert_true(resolved_is_own_domain(p.root, SLICE("corp.example")));
	assert_false(resolved_is_own_domain(p.root, SLICE("mesh.home.example")));
	assert_false(resolved_is_own_domain(p.root, SLICE("me.example")));
	write_file(below(&p, "etc/resolv.conf"), "nameserver 127.0.0.53\nsearch home.example\n",
		   0600);
	assert_false(resolved_is_own_domain(p.root, SLICE("home.example"))); /* it is ours */
	close_place(&p);
}

static struct zone *example(struct arena *a)
{
	static const char json[] = "{\"sequence\":1,\"domain\":\"h.x\",\"self\":{\"name\":\"a\","
				   "\"addresses\":[\"100.64.0.1\"]},\"routes\":{\"corp.x\":[]}}";
	struct mesh_view view;

	assert_int_equal(mesh_view_parse(a, slice_from(json), &view), OK);
	return zone_new(&view);
}

/* A program in its place writes down how it was called. */
static void test_it_is_told_servers_and_domains_of_the_link_and_nothing_else(void **state)
{
	struct resolved_commands commands;
	struct zone *zone;
	struct place p;
	struct arena a;
	char script[256], found[8192] = "";

	(void)state;
	open_place(&p);
	arena_init(&a);
	zone = example(&a);
	snprintf(script, sizeof(script), "#!/bin/sh\necho \"$*\" >> %s/log\n", p.root);
	write_file(below(&p, "resolvectl"), script, 0700);
	const char *old = getenv("PATH");
	setenv("PATH", arena_format(&a, "%s:%s", p.root, old), 1);
	resolved_plan(&a, "hanse9", zone, &commands);
	assert_int_equal(resolved_run(&commands), OK);
	resolved_plan(&a, "hanse9", NULL, &commands);
	assert_int_equal(resolved_run(&commands), OK);
	AUTO_FD fd = open(below(&p, "log"), O_RDONLY | O_CLOEXEC);
	assert_true(read(fd, found, sizeof(found) - 1) > 0);
	assert_non_null(strstr(found, "dns hanse9 100.100.100.100 fd7a:115c:a1e0::53\n"
				      "domain hanse9 h.x ~corp.x ~0.e.1.a.c"));
	assert_non_null(strstr(found, "default-route hanse9 no\nrevert hanse9\n"));
	write_file(below(&p, "resolvectl"), "#!/bin/sh\nexit 1\n", 0700);
	assert_int_equal(resolved_run(&commands), ERR_UNAVAILABLE);
	setenv("PATH", p.root, 1);
	unlink(below(&p, "resolvectl"));
	assert_int_equal(resolved_run(&commands), ERR_NOT_FOUND);
	zone_free(zone);
	arena_done(&a);
	close_place(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_is_used_where_it_runs_and_is_asked),
		cmocka_unit_test(test_the_domains_of_the_machine_are_known),
		cmocka_unit_test(test_it_is_told_servers_and_domains_of_the_link_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

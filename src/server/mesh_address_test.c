#include "server/mesh_address.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/http_server.h"

static char directory[] = "/tmp/hanse-address-XXXXXX", why[OPTION_WHY_BYTES];
static int asked;

static void on_request(void *context, struct http_exchange *e)
{
	const char *answer = asked++ == 0
				     ? "{\"sequence\":1,\"domain\":\"\",\"peers\":[]}"
				     : "{\"sequence\":2,\"domain\":\"home.example\",\"peers\":"
				       "[],\"self\":{\"id\":\"n1\",\"name\":\"a\","
				       "\"addresses\":[\"fd7a:115c:a1e0::7\",\"100.64.0.7\"]}}";

	(void)context;
	http_answer(e, 200, "application/json", slice_from(answer));
}

/* A mesh process that has no address yet when it is asked first. */
static pid_t serve(void)
{
	char path[100], reason[TASK_WHY_BYTES];
	struct http_server *server;
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	alarm(20);
	snprintf(path, sizeof(path), "%s/mesh.sock", directory);
	struct loop *loop = loop_new(0);
	if (http_server_open_unix(loop, path,
				  &(struct http_server_config) { .on_request = on_request },
				  &server, reason))
		_exit(1);
	loop_run(loop);
	_exit(0);
}

static void set(struct options *o, int option, const char *value)
{
	snprintf(o->values[option], OPTION_VALUE_BYTES_MAX, "%s", value);
}

static void test_mesh_stands_for_the_own_address(void **state)
{
	static struct options o;

	(void)state;
	set(&o, OPTION_RUN_DIR, directory);
	set(&o, OPTION_KAFKA, "mesh:9092");
	set(&o, OPTION_ADVERTISE, "laptop.home.example:9092");
	set(&o, OPTION_PEER, "mesh:9192");
	char path[100];
	pid_t pid = serve();
	snprintf(path, sizeof(path), "%s/mesh.sock", directory);
	for (int i = 0; i < 1000 && access(path, F_OK) != 0; i++)
		usleep(10000);
	assert_int_equal(mesh_address_fill(&o, 10000, why), OK);
	assert_string_equal(o.values[OPTION_KAFKA], "100.64.0.7:9092");
	assert_string_equal(o.values[OPTION_KAFKA_ALSO], "fd7a:115c:a1e0::7");
	assert_string_equal(o.values[OPTION_ADVERTISE], "laptop.home.example:9092");
	assert_string_equal(o.values[OPTION_PEER], "100.64.0.7:9192");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	unlink(path);
}

static void test_without_a_mesh_it_is_said_what_to_do(void **state)
{
	static struct options o;

	(void)state;
	set(&o, OPTION_RUN_DIR, directory);
	set(&o, OPTION_KAFKA, "127.0.0.1:9092");
	assert_int_equal(mesh_address_fill(&o, 0, why), OK); /* nobody is asked */
	set(&o, OPTION_KAFKA, "mesh:9092");
	assert_int_equal(setenv("XDG_RUNTIME_DIR", directory, 1), 0);
	if (getuid() == 0 && access("/run/hanse/mesh.sock", F_OK) == 0)
		skip(); /* this machine has one */
	assert_int_equal(mesh_address_fill(&o, 300, why), ERR_UNAVAILABLE);
	assert_non_null(strstr(why, "hanse up"));
	assert_string_equal(o.values[OPTION_KAFKA], "mesh:9092");
}

static int make_directory(void **state)
{
	(void)state;
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	(void)state;
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mesh_stands_for_the_own_address),
		cmocka_unit_test(test_without_a_mesh_it_is_said_what_to_do),
	};
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}

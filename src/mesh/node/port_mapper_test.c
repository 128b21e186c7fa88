/* A router that is difficult: the port is taken, and leases have no end.  In a network namespace of
 * its own; skipped where there may be none, or no TUN. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/http_server.h"
#include "mesh/node/node.h"
#include "mesh/node/private.h"

#define IP_1 "urn:schemas-upnp-org:service:WANIPConnection:1"

static struct {
	struct loop *loop;
	struct http_server *server;
	struct timer timer;
	char said[4096]; /* a word for each request */
	unsigned port;	 /* that was asked for last */
	const char *control;
	bool is_there;
} rig;

static unsigned number_in(struct slice body, const char *element)
{
	const uint8_t *at = memmem(body.data, body.size, element, strlen(element));
	unsigned number = 0;

	assert_non_null(at);
	for (at += strlen(element); *at >= '0' && *at <= '9'; at++)
		number = 10 * number + (unsigned)(*at - '0');
	return number;
}

static void say(const char *word)
{
	size_t size = strlen(rig.said);

	snprintf(rig.said + size, sizeof(rig.said) - size, "%s ", word);
}

static void refuse(struct http_exchange *e, int code)
{
	char text[128];

	snprintf(text, sizeof(text), "<UPnPError><errorCode>%d</errorCode></UPnPError>", code);
	http_answer(e, 500, "text/xml", slice_from(text));
}

static void add(struct http_exchange *e)
{
	rig.port = number_in(e->body, "<NewExternalPort>");
	unsigned seconds = number_in(e->body, "<NewLeaseDuration>");

	say(rig.port == 41641 ? "add-same" : seconds ? "add-other" : "add-for-ever");
	if (rig.port == 41641)
		refuse(e, 718);
	else if (seconds)
		refuse(e, 725);
	else
		http_answer(e, 200, "text/xml", SLICE("<ok/>"));
}

static void on_request(void *context, struct http_exchange *e)
{
	struct slice action = http_header(e, "SOAPAction");
	char text[512];

	(void)context;
	if (slice_equal(e->path, SLICE("/desc.xml"))) {
		say("describe");
		snprintf(text, sizeof(text),
			 "<root><service><serviceType>" IP_1 "</serviceType>"
			 "<controlURL>%s</controlURL></service></root>",
			 rig.control);
		http_answer(e, 200, "text/xml", slice_from(text));
	} else if (slice_equal(action, SLICE("\"" IP_1 "#GetExternalIPAddress\""))) {
		say("address");
		http_answer(e, 200, "text/xml",
			    SLICE("<NewExternalIPAddress>198.51.100.7</NewExternalIPAddress>"));
	} else if (slice_equal(action, SLICE("\"" IP_1 "#AddPortMapping\""))) {
		add(e);
	} else if (slice_equal(action, SLICE("\"" IP_1 "#DeletePortMapping\""))) {
		say("delete");
		http_answer(e, 200, "text/xml", SLICE("<ok/>"));
	} else {
		say("what?");
		refuse(e, 401);
	}
}

static int set_up(void **state)
{
	(void)state;
	rig.is_there =
		unshare(CLONE_NEWNET) == 0 && access("/dev/net/tun", R_OK | W_OK) == 0 &&
		system("ip link set lo up && ip addr add 192.0.2.1/32 dev lo 2>/dev/null") == 0;
	return 0;
}

static void stop(struct timer *t)
{
	loop_stop(t->loop);
}

static struct node *open_node(const char *control)
{
	const char *const urls[] = { "http://127.0.0.1:9" };
	struct node_config c = { .tun = "test0",
				 .name = "a",
				 .version = "test",
				 .urls = urls,
				 .url_count = 1,
				 .join_key = "",
				 .exit_node = "" };
	const struct http_server_config server = { .on_request = on_request };
	char why[NODE_WHY_BYTES];
	struct node *n = NULL;

	if (!rig.is_there)
		skip();
	rig.said[0] = '\0';
	rig.control = control;
	memset(c.machine_secret.bytes, 7, sizeof(c.machine_secret.bytes));
	memset(c.node_secret.bytes, 8, sizeof(c.node_secret.bytes));
	rig.loop = loop_new(0);
	assert_int_equal(http_server_open_tcp(rig.loop, "192.0.2.1", 0, &server, &rig.server, why),
			 OK);
	assert_int_equal(node_new(rig.loop, &c, &n, why), OK);
	return n;
}

static void ask(struct node *n, enum paths_effect_kind kind)
{
	struct paths_effect e = { .kind = kind,
				  .address =
					  endpoint_ip4(192, 0, 2, 1, http_server_port(rig.server)),
				  .local = endpoint_ip4(192, 0, 2, 1, 41641),
				  .outside_port = 41641,
				  .bytes = SLICE("/desc.xml") };

	node_map_port(n, &e);
}

static void run_until_quiet(struct node *n)
{
	for (int i = 0; i < 500 && n->port_mapper; i++) {
		timer_set(&rig.timer, rig.loop, loop_now_ms(rig.loop) + 10, stop);
		loop_run(rig.loop);
	}
	assert_null(n->port_mapper);
}

static void close_all(struct node *n)
{
	node_free(n);
	/* What was begun last goes on without the node. */
	timer_set(&rig.timer, rig.loop, loop_now_ms(rig.loop) + 300, stop);
	loop_run(rig.loop);
	http_server_close(rig.server);
	loop_run(rig.loop);
	loop_free(rig.loop);
}

static void test_another_port_and_a_lease_without_end_are_taken(void **state)
{
	struct node *n = open_node("/ctl");

	(void)state;
	ask(n, PATHS_MAP_PORT);
	run_until_quiet(n);
	assert_string_equal(rig.said, "describe address add-same add-other add-for-ever ");
	assert_true(rig.port >= 1024);
	ask(n, PATHS_UNMAP_PORT);
	close_all(n);
	assert_non_null(strstr(rig.said, "add-for-ever describe delete "));
}

static void test_a_description_that_leads_elsewhere_ends_it(void **state)
{
	struct node *n = open_node("http://192.0.2.77/ctl");

	(void)state;
	ask(n, PATHS_MAP_PORT);
	run_until_quiet(n);
	assert_string_equal(rig.said, "describe ");
	close_all(n);
}

static void test_a_node_that_ends_waits_for_no_router(void **state)
{
	struct node *n = open_node("/ctl");

	(void)state;
	ask(n, PATHS_MAP_PORT);
	ask(n, PATHS_MAP_PORT); /* the network changed: the first is of no use any more */
	close_all(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_another_port_and_a_lease_without_end_are_taken),
		cmocka_unit_test(test_a_description_that_leads_elsewhere_ends_it),
		cmocka_unit_test(test_a_node_that_ends_waits_for_no_router),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}

/* Clients of a DERP relay, ours or another: how many bytes pass, how long one packet takes, and
 * connections that only are there.
 *
 *	relay_load HOST PORT flood PAIRS PACKET_BYTES SECONDS
 *	relay_load HOST PORT echo PACKET_BYTES COUNT
 *	relay_load HOST PORT idle CONNECTIONS        until it is killed
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "loop/open_files.h"
#include "loop/timer.h"
#include "mesh/relay/derp_link.h"
#include "wire/crypto/x25519.h"

enum {
	CLIENTS_MAX = 20000,
	UNSENT_BYTES_MAX = 1024 * 1024, /* for a millisecond */
	DIALS_MAX = 64,			/* at the same time */
	DIAL_MS = 20000,
};

struct client {
	struct derp_link *link;
	struct mesh_key secret, own;
	struct client *to; /* of a sender */
	uint64_t sent, received, received_bytes;
};

static struct loop *loop;
static struct client *clients;
static size_t client_count, dialed, opened;
static const char *host, *mode;
static uint16_t port;
static size_t packet_bytes, echo_count, echo_done;
static uint64_t seconds, began_us, *echo_us;
static uint8_t packet[DERP_HEAD_BYTES + DERP_KEY_BYTES + DERP_PACKET_BYTES_MAX];
static struct timer pump_timer, end_timer;

static void send_packet(struct client *c)
{
	struct slice all = { packet, DERP_HEAD_BYTES + DERP_KEY_BYTES + packet_bytes };

	memcpy(packet + DERP_HEAD_BYTES, c->to->own.bytes, DERP_KEY_BYTES);
	derp_put_head(packet, DERP_SEND_PACKET, DERP_KEY_BYTES + packet_bytes);
	derp_link_write(c->link, all, (struct slice) { 0 });
	c->sent++;
}

/* --- flood: every even client sends to the one after it --------------------------------------- */
static void pump(struct timer *t)
{
	for (size_t i = 0; i < client_count; i += 2)
		while (derp_link_unsent(clients[i].link) < UNSENT_BYTES_MAX)
			send_packet(&clients[i]);
	timer_set(t, loop, loop_now_ms(loop) + 1, pump);
}

static void end_flood(struct timer *t)
{
	uint64_t sent = 0, received = 0, bytes = 0, us = clock_now_us() - began_us;

	(void)t;
	for (size_t i = 0; i < client_count; i++) {
		sent += clients[i].sent;
		received += clients[i].received;
		bytes += clients[i].received_bytes;
	}
	printf("flood %zu pairs of %zu bytes: %.1f MB/s received, %.0f packets/s, %.1f %% lost\n",
	       client_count / 2, packet_bytes, (double)bytes / (double)us,
	       (double)received * 1e6 / (double)us,
	       sent ? 100.0 * (1 - (double)received / (double)sent) : 0);
	fflush(stdout);
	_exit(0);
}

/* --- echo ------------------------------------------------------------------------------------- */
static int compare(const void *a, const void *b)
{
	const uint64_t *one = a, *two = b;

	return (*one > *two) - (*one < *two);
}

static void end_echo(void)
{
	qsort(echo_us, echo_done, sizeof(*echo_us), compare);
	printf("echo of %zu bytes: %.3f ms in the middle, %.3f ms at 99 %%\n", packet_bytes,
	       (double)echo_us[echo_done / 2] / 1000, (double)echo_us[echo_done * 99 / 100] / 1000);
	fflush(stdout);
	_exit(0);
}

static void on_echo(struct client *c)
{
	if (c == &clients[1]) {
		send_packet(c);
		return;
	}
	echo_us[echo_done++] = clock_now_us() - began_us;
	if (echo_done == echo_count)
		end_echo();
	began_us = clock_now_us();
	send_packet(c);
}

/* --- all -------------------------------------------------------------------------------------- */
static void dial_more(void);

static void begin(void)
{
	printf("open %zu\n", opened);
	fflush(stdout);
	began_us = clock_now_us();
	if (strcmp(mode, "flood") == 0) {
		timer_set(&end_timer, loop, loop_now_ms(loop) + seconds * 1000, end_flood);
		pump(&pump_timer);
	} else if (strcmp(mode, "echo") == 0) {
		send_packet(&clients[0]);
	}
}

static void on_open(void *context, struct derp_link *link)
{
	(void)context;
	(void)link;
	opened++;
	dial_more();
	if (opened == client_count)
		begin();
}

static void on_frame(void *context, struct derp_link *link, uint8_t type, struct slice payload)
{
	struct client *c = context;

	(void)link;
	if (type != DERP_RECEIVE_PACKET)
		return;
	c->received++;
	c->received_bytes += payload.size - DERP_KEY_BYTES;
	if (echo_count)
		on_echo(c);
}

static void on_end(void *context, struct derp_link *link, const char *why)
{
	(void)context;
	(void)link;
	fprintf(stderr, "relay_load: a connection ended: %s\n", why);
	exit(1);
}

static const struct derp_link_owner owner = {
	.on_open = on_open,
	.on_frame = on_frame,
	.on_end = on_end,
};

static void dial_more(void)
{
	for (; dialed < client_count && dialed - opened < DIALS_MAX; dialed++) {
		struct client *c = &clients[dialed];
		struct derp_node node = { .is_insecure_for_tests = true };
		struct derp_link_config config = {
			.address = host,
			.port = port,
			.host = host,
			.dial_ms = DIAL_MS,
			.info = { .version = DERP_VERSION, .can_ack_pings = true },
			.owner = &owner,
			.context = c,
		};

		snprintf(node.host, sizeof(node.host), "%s", host);
		random_bytes(c->secret.bytes, sizeof(c->secret.bytes));
		x25519_clamp(c->secret.bytes);
		x25519_public(c->secret.bytes, c->own.bytes);
		config.secret = c->secret;
		config.own = c->own;
		if (derp_link_identity(&node, &config.identity))
			exit(1);
		c->link = derp_link_start(loop, &config);
	}
}

static size_t number(char **argv, int i, size_t max)
{
	char *end = NULL;
	unsigned long value = argv[i] ? strtoul(argv[i], &end, 10) : 0;

	if (!argv[i] || *end || value == 0 || value > max) {
		fprintf(stderr, "relay_load: see the top of relay_load.c\n");
		exit(64);
	}
	return value;
}

int main(int argc, char **argv)
{
	if (argc < 5)
		number(argv, argc, 1);
	host = argv[1];
	port = (uint16_t)number(argv, 2, UINT16_MAX);
	mode = argv[3];
	log_set_level(LOG_ERROR);
	open_files_raise();
	if (strcmp(mode, "flood") == 0) {
		client_count = 2 * number(argv, 4, CLIENTS_MAX / 2);
		packet_bytes = number(argv, 5, DERP_PACKET_BYTES_MAX);
		seconds = number(argv, 6, 3600);
	} else if (strcmp(mode, "echo") == 0) {
		client_count = 2;
		packet_bytes = number(argv, 4, DERP_PACKET_BYTES_MAX);
		echo_count = number(argv, 5, 1000000);
		echo_us = memory_take_array(echo_count, sizeof(*echo_us));
	} else {
		client_count = number(argv, 4, CLIENTS_MAX);
	}
	clients = memory_take_array(client_count, sizeof(*clients));
	for (size_t i = 0; i < client_count; i++)
		clients[i].to = &clients[i ^ 1];
	loop = loop_new(0);
	dial_more();
	loop_run(loop);
	return 0;
}

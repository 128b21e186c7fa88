/* An agent whose control is elsewhere, or stands by and says who leads. */
#include "base/random.h"
#include "streams/testing_world.h"

static const uint8_t control_seed[TLS_KEY_BYTES] = { 1 }, agents_seed[TLS_KEY_BYTES] = { 2 };

static struct tls_identity *identity_of(const uint8_t seed[], const uint8_t other[])
{
	uint8_t key[TLS_KEY_BYTES];

	tls_public_key(other, key);
	return tls_identity_new(seed, (const uint8_t *[]) { key }, 1);
}

/* --- a node that stands by ------------------------------------------------------------------- */

struct standby {
	struct testing_world *world;
	struct tls_identity *identity;
	struct listener *listener;
	char path[80];
	char leader[64];
	int hello_count;
	bool can_follow; /* so the last agent said */
};

static void on_hello(void *context, struct stream *s)
{
	struct standby *b = context;
	struct slice in = stream_inbox(s);
	struct peer_hello_request hello;
	struct frame frame;
	struct arena a;
	struct buf answer;

	if (frame_decode(&in, &frame))
		return;
	arena_init(&a);
	assert_int_equal(frame_decode_body(&a, &frame, &peer_hello_request_schema, &hello), OK);
	b->hello_count++;
	b->can_follow = hello.follows;
	arena_done(&a);
	struct peer_hello_response response = { .error = ERR_UNAVAILABLE,
						.message = SLICE("another node leads"),
						.leader = slice_from(b->leader) };
	buf_init(&answer);
	assert_int_equal(frame_encode(&answer, &peer_hello_response_schema, 0, frame.correlation_id,
				      &response),
			 OK);
	stream_write_buf(s, &answer);
	buf_done(&answer);
	stream_consume(s, stream_inbox(s).size - in.size);
}

static void on_hello_end(void *context, struct stream *s, enum err err)
{
	(void)context;
	(void)err;
	stream_close(s);
}

static void on_accept(void *context, struct stream *s)
{
	static const struct stream_owner owner = { .on_readable = on_hello,
						   .on_end = on_hello_end };

	stream_set_owner(s, &owner, context);
}

static void standby_open(struct standby *b, struct testing_world *w, uint16_t leader_port)
{
	char why[TASK_WHY_BYTES];

	*b = (struct standby) { .world = w };
	snprintf(b->path, sizeof(b->path), "/tmp/hanse-test-%d-standby.sock", (int)getpid());
	snprintf(b->leader, sizeof(b->leader), "127.0.0.1:%u", leader_port);
	assert_int_equal(listener_open_unix(w->loop, b->path, on_accept, b, &b->listener, why), OK);
}

/* --- the stage ------------------------------------------------------------------------------- */

static struct testing_world w;
static struct standby standby;
static struct tls_identity *control_identity, *agent_identity;
static struct listener *peer_port;

/* The agent starts anew, and control, which leads, is to be reached at a peer port only. */
static void set_up(uint64_t seed)
{
	char why[TASK_WHY_BYTES];

	control_identity = identity_of(control_seed, agents_seed);
	agent_identity = identity_of(agents_seed, control_seed);
	testing_world_open(&w, seed);
	testing_close_agent(&w);
	assert_int_equal(listener_open_tls(w.loop, "127.0.0.1", 0, control_identity,
					   testing_control_accept, &w.control, &peer_port, why),
			 OK);
	standby_open(&standby, &w, listener_port(peer_port));
	w.identity = agent_identity;
}

static void tear_down(void)
{
	listener_close(peer_port);
	listener_close(standby.listener);
	testing_world_close(&w);
	tls_identity_free(control_identity);
	tls_identity_free(agent_identity);
}

static void write_and_read(void)
{
	struct testing_client c;

	testing_client_open(&c, &w);
	testing_produce(&c, "alpha", 0, testing_batch(&c.arena, "over there", 0, 1), 0);
	WAIT_FOR(&w, replica_index(w.agent->replica) == w.control.index);
	assert_int_equal(
		testing_fetch(&c, (struct testing_fetch) { .topic = "alpha" })->high_watermark, 1);
	testing_client_close(&c);
}

static void test_an_agent_uses_control_on_another_machine(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 3; seed++) {
		set_up(seed);
		w.places[0] = (struct control_place) { .host = "127.0.0.1",
						       .port = listener_port(peer_port) };
		testing_open_agent(&w);
		assert_non_null(stream_peer_key(w.control.peers[0].stream));
		write_and_read();
		tear_down();
	}
}

static void test_an_agent_beside_a_standby_follows_it_to_the_leader(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 3; seed++) {
		set_up(seed);
		w.places[0] = (struct control_place) { .path = standby.path };
		testing_open_agent(&w);
		assert_true(standby.can_follow);
		assert_int_equal(standby.hello_count, 1);
		write_and_read();

		/* The leader is gone: the standby knows who leads then. */
		testing_lose_agent(&w.control);
		WAIT_FOR(&w, standby.hello_count == 2);
		WAIT_FOR(&w, control_link_is_ready(w.agent->link));
		assert_int_equal(w.closed_count, 0);
		tear_down();
	}
}

/* It may be out of date, and even come back to where it began. */
static void test_being_sent_on_and_on_ends(void **state)
{
	struct listener *port;
	char why[TASK_WHY_BYTES];

	(void)state;
	set_up(0);
	assert_int_equal(listener_open_tls(w.loop, "127.0.0.1", 0, control_identity, on_accept,
					   &standby, &port, why),
			 OK);
	snprintf(standby.leader, sizeof(standby.leader), "127.0.0.1:%u", listener_port(port));
	w.places[0] = (struct control_place) { .path = standby.path };
	w.places[1] =
		(struct control_place) { .host = "127.0.0.1", .port = listener_port(peer_port) };
	w.place_count = 2;
	testing_open_agent(&w);
	assert_in_range(standby.hello_count, CONTROL_LINK_REDIRECTS_MAX + 1,
			2 * CONTROL_LINK_REDIRECTS_MAX + 2);
	listener_close(port);
	tear_down();
}

static void test_a_leader_that_is_not_there_is_given_up(void **state)
{
	(void)state;
	set_up(0);
	snprintf(standby.leader, sizeof(standby.leader), "127.0.0.1:1");
	w.places[0] = (struct control_place) { .path = standby.path };
	testing_begin_agent(&w);
	WAIT_FOR(&w, standby.hello_count == 3); /* asked again, not forgotten */
	snprintf(standby.leader, sizeof(standby.leader), "127.0.0.1:%u", listener_port(peer_port));
	WAIT_FOR(&w, w.is_serving);
	tear_down();
}

static void test_without_keys_it_does_not_follow(void **state)
{
	(void)state;
	set_up(0);
	w.identity = NULL;
	w.places[0] = (struct control_place) { .path = standby.path };
	testing_begin_agent(&w);
	WAIT_FOR(&w, standby.hello_count >= 3);
	assert_false(standby.can_follow);
	assert_false(w.is_serving);
	tear_down();
}

static void test_control_with_other_keys_is_not_believed(void **state)
{
	static const uint8_t other_seed[TLS_KEY_BYTES] = { 3 };

	(void)state;
	set_up(0);
	struct tls_identity *other = identity_of(agents_seed, other_seed);
	w.identity = other;
	w.places[0] =
		(struct control_place) { .host = "127.0.0.1", .port = listener_port(peer_port) };
	int hello_count = w.control.hello_count;
	testing_begin_agent(&w);
	testing_run_ms(&w, 100);
	assert_false(w.is_serving);
	assert_int_equal(w.control.hello_count, hello_count);
	tear_down();
	tls_identity_free(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_agent_uses_control_on_another_machine),
		cmocka_unit_test(test_an_agent_beside_a_standby_follows_it_to_the_leader),
		cmocka_unit_test(test_being_sent_on_and_on_ends),
		cmocka_unit_test(test_a_leader_that_is_not_there_is_given_up),
		cmocka_unit_test(test_without_keys_it_does_not_follow),
		cmocka_unit_test(test_control_with_other_keys_is_not_believed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

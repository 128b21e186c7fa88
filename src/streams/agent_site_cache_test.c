/* Two agents of one site far from their bucket, and a third that does what no agent should. */
#include "base/text.h"
#include "loop/tls_identity.h"
#include "streams/agent/block_cache.h"
#include "streams/agent/site.h"
#include "streams/agent/site_door.h"
#include "streams/testing_world.h"

enum { SLACK_MS = 3000 }; /* of a machine that has other work too */

static struct testing_world w, a, b; /* `w` is of another site, and asks nobody */
static struct testing_client ca, cb;
static struct tls_identity *mates;
static struct arena written; /* batches, which outlive clients */

static void open_clients(void)
{
	testing_client_open(&ca, &a);
	testing_client_open(&cb, &b);
}

static void settle(void)
{
	WAIT_FOR(&w, replica_index(a.agent->replica) == w.control.index);
	WAIT_FOR(&w, replica_index(b.agent->replica) == w.control.index);
}

static void set_up(uint64_t seed)
{
	const uint8_t key[TLS_KEY_BYTES] = { 1, 2, 3 };
	struct fault_store far = { .get = { .p50_ms = 20, .p99_ms = 30 } };
	uint8_t public[TLS_KEY_BYTES];

	arena_init(&written);
	testing_world_open(&w, seed);
	fault_set_store(w.bucket, &far);
	tls_public_key(key, public);
	mates = tls_identity_new(key, (const uint8_t *[]) { public }, 1);
	w.mates = mates;
	testing_join_world(&a, &w, 9093, "north");
	testing_join_world(&b, &w, 9094, "north");
	open_clients();
	settle();
}

static void tear_down(void)
{
	testing_client_close(&cb);
	testing_client_close(&ca);
	testing_close_agent(&b);
	testing_close_agent(&a);
	testing_world_close(&w);
	tls_identity_free(mates);
	arena_done(&written);
}

/* Nobody has anything in memory. */
static void forget_all(void)
{
	testing_restart_agent(&a, &ca);
	testing_restart_agent(&b, &cb);
	settle();
}

static const struct site_numbers *numbers(const struct testing_world *of)
{
	return site_get_numbers(of->agent->site);
}

static struct slice produce(struct testing_client *c, int32_t partition, int64_t offset)
{
	struct slice batch = testing_batch(&written, "record", (int)offset, 3);

	testing_produce(c, "alpha", partition, batch, offset);
	settle();
	return batch;
}

static void check(struct kafka_fetch_response_partition *got, struct slice batch, int64_t offset)
{
	assert_int_equal(got->error_code, KAFKA_NONE);
	struct slice records = got->records;
	testing_same_batch(&records, batch, offset);
}

static void fetch(struct testing_client *c, int32_t partition, int64_t offset, struct slice batch)
{
	check(testing_fetch(c, (struct testing_fetch) { .topic = "alpha",
							.partition = partition,
							.offset = offset }),
	      batch, offset);
}

/* --- two agents ------------------------------------------------------------------------------ */

static void test_what_one_agent_wrote_the_other_has_without_a_get(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 3; seed++) {
		set_up(seed);
		uint64_t gets = testing_get_count(&w);
		for (int64_t offset = 0; offset < 12; offset += 3)
			fetch(&cb, 0, offset, produce(&ca, 0, offset));
		assert_int_equal(testing_get_count(&w), gets);
		assert_int_equal(numbers(&b)->from_memory, 4);
		assert_int_equal(numbers(&a)->gave_memory, 4);
		assert_int_equal(numbers(&b)->fallbacks, 0);
		tear_down();
	}
}

static void test_an_agent_of_another_site_is_not_asked(void **state)
{
	(void)state;
	set_up(0);
	struct testing_world c;
	struct testing_client cc;
	testing_join_world(&c, &w, 9095, "south");
	testing_client_open(&cc, &c);
	uint64_t gets = testing_get_count(&w);
	struct slice batch = produce(&ca, 0, 0);
	WAIT_FOR(&w, replica_index(c.agent->replica) == w.control.index);
	fetch(&cc, 0, 0, batch);
	assert_int_equal(testing_get_count(&w), gets + 1);
	assert_int_equal(numbers(&a)->gave_memory, 0);
	testing_client_close(&cc);
	testing_close_agent(&c);
	tear_down();
}

static void test_a_block_nobody_has_is_read_once_for_the_site(void **state)
{
	struct slice batches[3];

	(void)state;
	set_up(0);
	for (int i = 0; i < 3; i++)
		batches[i] = produce(i % 2 ? &cb : &ca, i, 0);
	for (int round = 0; round < 4; round++) {
		forget_all();
		uint64_t gets = testing_get_count(&w);
		for (int i = 0; i < 3; i++) {
			fetch(round % 2 ? &ca : &cb, i, 0, batches[i]);
			fetch(round % 2 ? &cb : &ca, i, 0, batches[i]);
		}
		assert_int_equal(testing_get_count(&w), gets + 3);
	}
	tear_down();
}

static void test_two_who_want_a_block_at_once_wait_for_one_get(void **state)
{
	struct testing_fetch f = { .topic = "alpha" };

	(void)state;
	for (uint64_t seed = 0; seed < 4; seed++) {
		set_up(seed);
		struct slice batch = produce(&ca, 0, 0);
		forget_all();
		uint64_t gets = testing_get_count(&w);
		testing_send_fetch(&ca, f);
		testing_send_fetch(&cb, f);
		check(testing_receive_fetch(&ca), batch, 0);
		check(testing_receive_fetch(&cb), batch, 0);
		assert_int_equal(testing_get_count(&w), gets + 1);
		tear_down();
	}
}

/* Each asks the other for half of what it wants, and reads for it meanwhile. */
static void test_two_who_ask_each_other_do_not_wait_for_each_other(void **state)
{
	enum { FILES = 30 }; /* more than BLOCK_CACHE_READS_MAX, and each asked for at once */
	struct testing_fetch f = { .topic = "alpha" };

	(void)state;
	set_up(0);
	for (int64_t i = 0; i < FILES; i++) {
		produce(&ca, 0, i * 3);
		produce(&cb, 1, i * 3);
	}
	forget_all();
	uint64_t gets = testing_get_count(&w);
	testing_send_fetch(&cb, f);
	f.partition = 1;
	testing_send_fetch(&ca, f);
	assert_int_equal(testing_receive_fetch(&cb)->error_code, KAFKA_NONE);
	assert_int_equal(testing_receive_fetch(&ca)->error_code, KAFKA_NONE);
	assert_int_equal(testing_get_count(&w), gets + 2 * FILES);
	assert_int_equal(numbers(&a)->fallbacks + numbers(&b)->fallbacks, 0);
	assert_true(numbers(&a)->from_bucket > 0 && numbers(&b)->from_bucket > 0);
	tear_down();
}

static void test_a_slow_store_is_not_taken_for_a_dead_agent(void **state)
{
	(void)state;
	set_up(0);
	struct slice batch = produce(&ca, 0, 0);
	forget_all();
	fault_set_store(w.bucket,
			&(struct fault_store) { .get = { .p50_ms = SITE_SILENCE_MS + 50,
							 .p99_ms = SITE_SILENCE_MS + 60 } });
	uint64_t gets = testing_get_count(&w);
	fetch(&ca, 0, 0, batch);
	fetch(&cb, 0, 0, batch);
	assert_int_equal(testing_get_count(&w), gets + 1);
	assert_int_equal(numbers(&a)->fallbacks + numbers(&b)->fallbacks, 0);
	tear_down();
}

static void test_an_agent_that_is_asked_can_stop(void **state)
{
	(void)state;
	for (int turns = 0; turns < 30; turns += 5) {
		set_up(0);
		struct slice batch = produce(&ca, 0, 0);
		forget_all();
		testing_send_fetch(&cb, (struct testing_fetch) { .topic = "alpha" });
		testing_run_ms(&w, (uint64_t)turns);
		testing_client_close(&ca);
		testing_close_agent(&a);
		check(testing_receive_fetch(&cb), batch, 0);
		testing_open_agent(&a);
		testing_client_open(&ca, &a);
		tear_down();
	}
}

/* --- an agent that does not do what it should ------------------------------------------------ */

static void start_drip(struct stream *s, uint32_t correlation_id);

enum deed { SILENT, HANGS_UP, GARBAGE, PROMISES, WRONG_BYTES, SHORT_BLOCK, HUGE, DEEDS, DRIPS };

struct fake {
	struct listener *listener;
	struct stream *streams[8];
	size_t stream_count;
	int asked;
	enum deed deed;
};

static struct fake fake;

static void say(struct stream *s, uint32_t correlation_id, const struct peer_block_response *said)
{
	struct buf out;

	buf_init(&out);
	assert_int_equal(frame_encode(&out, &peer_block_response_schema, 0, correlation_id, said),
			 OK);
	stream_write_buf(s, &out);
	buf_done(&out);
}

static void misbehave(struct stream *s, const struct frame *frame)
{
	static uint8_t bytes[BLOCK_CACHE_BLOCK_BYTES];

	switch (fake.deed) {
	case GARBAGE:
		stream_write(s, SLICE("what is this, and why is it so long"));
		break;
	case PROMISES:
		for (int i = 0; i < 3; i++)
			say(s, frame->correlation_id,
			    &(struct peer_block_response) { .is_reading = true });
		break;
	case WRONG_BYTES:
		say(s, frame->correlation_id,
		    &(struct peer_block_response) { .bytes = { bytes, sizeof(bytes) } });
		break;
	case SHORT_BLOCK:
		say(s, frame->correlation_id,
		    &(struct peer_block_response) { .bytes = { bytes, 10 } });
		break;
	case HUGE:
		stream_write(s, (struct slice) { (const uint8_t *)"\0\xff\0\0\0\x5b\0\0", 8 });
		for (int i = 0; i < 2; i++)
			stream_write(s, (struct slice) { bytes, sizeof(bytes) });
		break;
	case DRIPS:
		start_drip(s, frame->correlation_id);
		break;
	case SILENT:
	case HANGS_UP:
	case DEEDS:
		break;
	}
}

static void on_fake_readable(void *context, struct stream *s)
{
	struct slice in = stream_inbox(s);
	size_t before = in.size;
	struct frame frame;

	(void)context;
	while (!frame_decode(&in, &frame)) {
		fake.asked++;
		if (fake.deed == HANGS_UP) {
			fake.stream_count--;
			stream_close(s);
			return;
		}
		misbehave(s, &frame);
	}
	stream_consume(s, before - in.size);
}

static void on_fake_end(void *context, struct stream *s, enum err err)
{
	(void)context;
	(void)s;
	(void)err;
}

static void on_fake_accept(void *context, struct stream *s)
{
	static const struct stream_owner owner = { .on_readable = on_fake_readable,
						   .on_end = on_fake_end };

	assert_true(fake.stream_count < 8);
	fake.streams[fake.stream_count++] = s;
	stream_set_owner(s, &owner, context);
}

/* From now on it is in the place of agent `a`, which is gone. */
static void replace_by_fake(enum deed deed)
{
	char why[TASK_WHY_BYTES], sql[200];
	int64_t incarnation = a.agent->incarnation;

	fake = (struct fake) { .deed = deed };
	assert_int_equal(listener_open_tls(w.loop, "127.0.0.1", 0, mates, on_fake_accept, NULL,
					   &fake.listener, why),
			 OK);
	testing_client_close(&ca);
	testing_close_agent(&a);
	snprintf(sql, sizeof(sql),
		 "UPDATE agent SET is_live = 1, blocks = '127.0.0.1:%u' WHERE incarnation = %lld",
		 listener_port(fake.listener), (long long)incarnation);
	testing_control_sql(&w.control, sql);
	WAIT_FOR(&w, replica_index(b.agent->replica) == w.control.index);
}

/* A block in pieces, as a slow network brings it. */
struct drip {
	struct timer timer;
	struct stream *stream;
	struct buf block;
	size_t piece_bytes;
};

static struct drip drip;

static void on_drip(struct timer *t)
{
	size_t size = drip.block.size < drip.piece_bytes ? drip.block.size : drip.piece_bytes;

	stream_write(drip.stream, slice_part(buf_slice(&drip.block), 0, size));
	buf_drop_front(&drip.block, size);
	if (drip.block.size > 0)
		timer_set(t, w.loop, loop_now_ms(w.loop) + 45, on_drip);
}

static void start_drip(struct stream *s, uint32_t correlation_id)
{
	static uint8_t bytes[BLOCK_CACHE_BLOCK_BYTES];

	drip = (struct drip) { .stream = s };
	buf_init(&drip.block);
	assert_int_equal(frame_encode(&drip.block, &peer_block_response_schema, 0, correlation_id,
				      &(struct peer_block_response) {
					      .bytes = { bytes, sizeof(bytes) } }),
			 OK);
	drip.piece_bytes = drip.block.size / 7;
	on_drip(&drip.timer);
}

static void end_fake(void)
{
	listener_close(fake.listener);
	while (fake.stream_count > 0)
		stream_close(fake.streams[--fake.stream_count]);
	testing_open_agent(&a);
	testing_client_open(&ca, &a);
}

static void test_whatever_an_agent_does_readers_get_what_was_written(void **state)
{
	(void)state;
	for (enum deed deed = SILENT; deed < DEEDS; deed++) {
		set_up(deed);
		struct slice first = produce(&ca, 0, 0), second = produce(&ca, 1, 0);
		replace_by_fake(deed);
		uint64_t before_ms = clock_now_ms();
		struct testing_fetch f = { .topic = "alpha" };
		struct kafka_fetch_response_partition *got = testing_fetch(&cb, f);
		for (int i = 0; got->error_code && i < 3; i++) {
			assert_int_equal(got->error_code, KAFKA_CORRUPT_MESSAGE);
			assert_true(deed == WRONG_BYTES || deed == SHORT_BLOCK);
			assert_int_equal(got->records.size, 0);
			got = testing_fetch(&cb, f);
		}
		check(got, first, 0);
		assert_true(fake.asked > 0);
		assert_true(clock_now_ms() - before_ms < SITE_ANSWER_MS + SLACK_MS);
		int asked = fake.asked;
		if (deed != WRONG_BYTES && deed != SHORT_BLOCK && deed != PROMISES) {
			fetch(&cb, 1, 0, second);
			assert_int_equal(fake.asked, asked); /* it is left alone */
			assert_int_equal(numbers(&b)->fallbacks, 1);
		}
		end_fake();
		tear_down();
	}
}

/* A client is told of a wrong block once; it is not to be told of each block there is. */
static void test_who_is_wrong_again_and_again_is_not_asked(void **state)
{
	struct slice batches[SITE_WRONG_MAX + 2];

	(void)state;
	int asked = 0;
	set_up(3);
	for (int i = 0; i < SITE_WRONG_MAX + 2; i++)
		batches[i] = produce(&ca, 0, 3 * i);
	replace_by_fake(WRONG_BYTES);
	for (int i = 0; i < SITE_WRONG_MAX + 2; i++) {
		struct testing_fetch f = { .topic = "alpha",
					   .offset = 3 * i,
					   .partition_max_bytes = 1 };
		struct kafka_fetch_response_partition *got = testing_fetch(&cb, f);
		if (i < SITE_WRONG_MAX) {
			assert_int_equal(got->error_code, KAFKA_CORRUPT_MESSAGE);
			asked = fake.asked;
			got = testing_fetch(&cb, f);
		}
		check(got, batches[i], 3 * i);
	}
	assert_int_equal(fake.asked, asked);
	end_fake();
	tear_down();
}

static void test_who_sends_slowly_is_not_taken_for_silent(void **state)
{
	(void)state;
	set_up(0);
	produce(&ca, 0, 0);
	replace_by_fake(DRIPS);
	testing_fetch(&cb, (struct testing_fetch) { .topic = "alpha" });
	assert_int_equal(numbers(&b)->from_memory, 1); /* which is not what was written */
	assert_int_equal(numbers(&b)->fallbacks, 0);
	assert_int_equal(fake.asked, 1);
	buf_done(&drip.block);
	timer_clear(&drip.timer);
	end_fake();
	tear_down();
}

static void test_an_agent_that_is_not_there_is_not_asked_again(void **state)
{
	(void)state;
	set_up(0);
	struct slice first = produce(&ca, 0, 0), second = produce(&ca, 1, 0);
	replace_by_fake(SILENT);
	listener_close(fake.listener);
	fetch(&cb, 0, 0, first);
	fetch(&cb, 1, 0, second);
	assert_int_equal(numbers(&b)->fallbacks, 1);
	testing_open_agent(&a);
	testing_client_open(&ca, &a);
	fetch(&cb, 2, 0, produce(&ca, 2, 0)); /* another life: asked at once */
	assert_int_equal(numbers(&b)->from_memory, 1);
	tear_down();
}

/* --- the door -------------------------------------------------------------------------------- */

struct asker {
	struct task task;
	struct connect connect;
	struct stream *stream;
	struct buf in;
	bool is_ended;
};

static struct asker asker;

static enum step asker_step(struct task *t)
{
	if (t->at == 0) {
		char host[64];
		uint16_t port;
		assert_int_equal(text_host_port(site_place(a.agent->site), host, sizeof(host),
						&port),
				 OK);
		connect_tls(&asker.connect, t, host, port, mates);
		return task_wait(t, 1);
	}
	return task_done(t, asker.connect.task.err);
}

static void on_asker_readable(void *context, struct stream *s)
{
	struct slice in = stream_inbox(s);

	if (context)
		return; /* who takes nothing */
	buf_add_slice(&asker.in, in);
	stream_consume(s, in.size);
}

static void on_asker_end(void *context, struct stream *s, enum err err)
{
	(void)context;
	(void)err;
	stream_close(s);
	asker.stream = NULL;
	asker.is_ended = true;
}

static const struct stream_owner asker_owner = { .on_readable = on_asker_readable,
						 .on_end = on_asker_end };

static void open_asker(void)
{
	static const struct task_kind kind = { .name = "asker", .step = asker_step };

	asker = (struct asker) { 0 };
	buf_init(&asker.in);
	task_start_root(&asker.task, &kind, w.loop);
	WAIT_FOR(&w, !task_is_running(&asker.task));
	assert_int_equal(asker.task.err, OK);
	asker.stream = asker.connect.ret;
	stream_set_owner(asker.stream, &asker_owner, NULL);
}

static void close_asker(void)
{
	if (asker.stream)
		stream_close(asker.stream);
	buf_done(&asker.in);
}

static void ask(int64_t incarnation, int64_t sequence, int32_t number, bool reads)
{
	struct peer_block_request request = { a.agent->incarnation, incarnation, sequence, number,
					      reads };
	struct buf out;

	buf_init(&out);
	assert_int_equal(frame_encode(&out, &peer_block_request_schema, 0, 9, &request), OK);
	stream_write_buf(asker.stream, &out);
	buf_done(&out);
}

/* The error of the next answer that is no sign of life. */
static enum err await_answer(void)
{
	struct peer_block_response answer = { .is_reading = true };
	struct frame frame;
	struct arena arena;
	enum err err = ERR_NOT_FOUND;

	arena_init(&arena);
	while (answer.is_reading) {
		struct slice in = { 0 };
		WAIT_FOR(&w, (in = buf_slice(&asker.in), err = frame_decode(&in, &frame)) !=
				     ERR_NOT_FOUND);
		assert_int_equal(err, OK);
		assert_int_equal(frame.correlation_id, 9);
		assert_int_equal(frame_decode_body(&arena, &frame, &peer_block_response_schema,
						   &answer),
				 OK);
		buf_drop_front(&asker.in, asker.in.size - in.size);
	}
	err = peer_error_decode(answer.error);
	assert_int_equal(answer.bytes.size == 0, err != OK);
	arena_done(&arena);
	return err;
}

/* As behind a proxy: what leads to `a` is the door of `b`, which so would ask itself. */
static void test_an_agent_that_is_taken_for_another_says_so(void **state)
{
	char sql[200];
	struct slice batch;

	(void)state;
	set_up(0);
	for (int32_t i = 0; i < 3; i++)
		batch = produce(&ca, i, 0);
	testing_restart_agent(&b, &cb);
	settle();
	snprintf(sql, sizeof(sql), "UPDATE agent SET blocks = '%s' WHERE incarnation = %lld",
		 site_place(b.agent->site), (long long)a.agent->incarnation);
	testing_control_sql(&w.control, sql);
	WAIT_FOR(&w, replica_index(b.agent->replica) == w.control.index);
	for (int32_t i = 0; i < 3; i++)
		fetch(&cb, i, 0, batch);
	assert_int_equal(numbers(&b)->fallbacks, 1); /* and it is not asked again */
	assert_int_equal(numbers(&b)->gave_none, 1);
	assert_int_equal(numbers(&b)->gave_memory + numbers(&b)->gave_bucket, 0);
	tear_down();
}

static void on_stranger(void *context, struct stream *s)
{
	(void)context;
	stream_close(s);
}

/* Nobody is sent to a place that somebody else has. */
static void test_a_door_that_another_program_has_is_told_to_nobody(void **state)
{
	struct listener *stranger;
	char why[TASK_WHY_BYTES], here[32];

	(void)state;
	for (int waits = 0; waits < 2; waits++) {
		set_up(0);
		assert_int_equal(listener_open_tcp(w.loop, "127.0.0.1", 0, on_stranger, NULL,
						   &stranger, why),
				 OK);
		a.blocks_port = listener_port(stranger);
		testing_restart_agent(&a, &ca);
		assert_string_equal(site_place(a.agent->site), "");
		uint64_t gets = testing_get_count(&w);
		fetch(&cb, 0, 0, produce(&ca, 0, 0));
		assert_int_equal(testing_get_count(&w), gets + 1);
		assert_int_equal(numbers(&b)->fallbacks, 0); /* it asked nobody */
		assert_false(site_is_open(a.agent->site));   /* and nobody is asked from here */
		if (waits)
			testing_run_ms(&w, SITE_DOOR_PATIENCE_MS + SITE_DOOR_RETRY_MS);
		listener_close(stranger);
		testing_run_ms(&w, 3 * SITE_DOOR_RETRY_MS);
		snprintf(here, sizeof(here), "127.0.0.1:%u", a.blocks_port);
		assert_string_equal(site_place(a.agent->site), waits ? "" : here);
		tear_down();
	}
}

static void test_only_blocks_of_data_files_can_be_asked_for(void **state)
{
	static const struct {
		int64_t incarnation, sequence;
		int32_t number;
	} wrong[] = { { 0, 1, 0 },  { -1, 1, 0 },  { 1, -1, 0 },
		      { 1, 1, -1 }, { 1, 1, 128 }, { 1, 1, INT32_MAX } };

	(void)state;
	set_up(0);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		open_asker();
		ask(wrong[i].incarnation, wrong[i].sequence, wrong[i].number, true);
		WAIT_FOR(&w, asker.is_ended);
		close_asker();
	}
	open_asker();
	ask(1, 1, 127, true); /* there is no such file */
	assert_int_equal(await_answer(), ERR_NOT_FOUND);
	ask(1, 1, 0, false);
	assert_int_equal(await_answer(), ERR_NOT_FOUND);
	stream_write(asker.stream, SLICE("GET / HTTP/1.1\r\nHost: here\r\n\r\n"));
	WAIT_FOR(&w, asker.is_ended);
	close_asker();
	tear_down();
}

static void test_one_asker_has_a_limited_number_of_reads(void **state)
{
	enum { ASKED = SITE_READS_MAX + 10 };
	int busy = 0;

	(void)state;
	set_up(0);
	open_asker();
	for (int i = 0; i < ASKED; i++)
		ask(1, 1000 + i, 0, true);
	for (int i = 0; i < ASKED; i++)
		busy += await_answer() == ERR_BUSY;
	assert_int_equal(busy, ASKED - SITE_READS_MAX);
	ask(1, 999, 0, true);
	close_asker(); /* who does not wait for the answer */
	tear_down();
}

/* Who ask and take nothing: together they get no more than the door has memory for. */
static void test_all_askers_together_have_a_limit(void **state)
{
	enum { ASKERS = 8, ASKED = 40, EACH = SITE_PENDING_BYTES_MAX / BLOCK_CACHE_BLOCK_BYTES };
	static uint8_t bytes[BLOCK_CACHE_BLOCK_BYTES];
	struct stream *all[ASKERS];
	uint64_t given = 0, last = 0;

	(void)state;
	set_up(0);
	block_cache_add_file(a.agent->cache, 1, 1000, &(struct slice) { bytes, sizeof(bytes) }, 1);
	for (int i = 0; i < ASKERS; i++) {
		uint64_t before = numbers(&a)->gave_memory + numbers(&a)->gave_busy;
		open_asker();
		stream_set_inbox_limit(asker.stream, 1);
		stream_set_owner(asker.stream, &asker_owner, &asker);
		all[i] = asker.stream;
		given = numbers(&a)->gave_memory;
		for (int n = 0; n < ASKED; n++)
			ask(1, 1000, 0, false);
		WAIT_FOR(&w, numbers(&a)->gave_memory + numbers(&a)->gave_busy == before + ASKED);
		last = numbers(&a)->gave_memory - given;
		assert_true(i > 0 || (last >= EACH && last < ASKED));
	}
	assert_true(last < EACH);
	for (int i = 0; i < ASKERS; i++)
		stream_close(all[i]);
	buf_done(&asker.in);
	tear_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_one_agent_wrote_the_other_has_without_a_get),
		cmocka_unit_test(test_an_agent_of_another_site_is_not_asked),
		cmocka_unit_test(test_a_block_nobody_has_is_read_once_for_the_site),
		cmocka_unit_test(test_two_who_want_a_block_at_once_wait_for_one_get),
		cmocka_unit_test(test_two_who_ask_each_other_do_not_wait_for_each_other),
		cmocka_unit_test(test_a_slow_store_is_not_taken_for_a_dead_agent),
		cmocka_unit_test(test_an_agent_that_is_asked_can_stop),
		cmocka_unit_test(test_whatever_an_agent_does_readers_get_what_was_written),
		cmocka_unit_test(test_who_is_wrong_again_and_again_is_not_asked),
		cmocka_unit_test(test_who_sends_slowly_is_not_taken_for_silent),
		cmocka_unit_test(test_an_agent_that_is_not_there_is_not_asked_again),
		cmocka_unit_test(test_an_agent_that_is_taken_for_another_says_so),
		cmocka_unit_test(test_a_door_that_another_program_has_is_told_to_nobody),
		cmocka_unit_test(test_only_blocks_of_data_files_can_be_asked_for),
		cmocka_unit_test(test_one_asker_has_a_limited_number_of_reads),
		cmocka_unit_test(test_all_askers_together_have_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

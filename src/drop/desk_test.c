/* A desk on loopback, where this machine is its own mesh, and pushes to it. */
#include "drop/desk.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "drop/push.h"
#include "loop/timer.h"
#include "wire/taildrop.h"

enum { BIG_BYTES = 5 * 1024 * 1024, WAIT_MS = 60000 };

struct rig {
	struct task task;
	struct loop *loop;
	char dir[64];
	struct store *store;
	struct desk *desk;
	struct http_stream_server *servers[2];
	struct mesh_view_machine machines[1];
	struct mesh_view view;
	size_t items;
	struct push push;
	struct push_target target;
	struct slice name;
	char token[ITEM_ID_BYTES];
	int fd;
	uint8_t *data;
	struct timer tick;
	uint64_t cancel_above; /* bytes sent; 0: not */
};

static const struct mesh_view *get_view(void *context)
{
	return &((struct rig *)context)->view;
}

static void on_item(void *context, struct store_item *i)
{
	(void)i;
	((struct rig *)context)->items++;
}

static void open_rig(struct rig *r)
{
	const struct store_limits limits = { INT64_MAX, INT64_MAX, STORE_ITEMS_MAX, 0,
					     INT64_MAX / 2 };
	struct ip_port at = { ip_v4(INADDR_LOOPBACK), 0 };
	char why[STORE_WHY_BYTES];

	memset(r, 0, sizeof(*r));
	r->loop = loop_new(0);
	snprintf(r->dir, sizeof(r->dir), "/tmp/desk-test-%d-XXXXXX", (int)getpid());
	assert_non_null(mkdtemp(r->dir));
	assert_int_equal(store_open(r->dir, &limits, &r->store, why), OK);
	r->machines[0] = (struct mesh_view_machine) { .id = SLICE("n1"),
						      .name = SLICE("here"),
						      .user = SLICE("me"),
						      .addresses = { at.ip },
						      .address_count = 1,
						      .has_hanse_inbox = true };
	r->view = (struct mesh_view) { .machines = r->machines,
				       .machine_count = 1,
				       .has_self = true };
	r->desk = desk_new(r->loop, &(struct desk_config) { .store = r->store,
							    .view = get_view,
							    .on_item = on_item,
							    .context = r });
	assert_int_equal(desk_listen(r->desk, DESK_HTTP, at, &r->servers[0], why), OK);
	assert_int_equal(desk_listen(r->desk, DESK_PEERAPI, at, &r->servers[1], why), OK);
	r->machines[0].peerapi4 = http_stream_port(r->servers[1]);
	assert_int_equal(push_find_target(&r->machines[0], &r->target), OK);
	item_draw_id(1, r->token);
	r->data = memory_take(BIG_BYTES);
	for (size_t i = 0; i < BIG_BYTES; i++)
		r->data[i] = (uint8_t)(i * 2654435761u >> 13);
	r->fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	assert_int_equal(write(r->fd, r->data, BIG_BYTES), BIG_BYTES);
}

static void close_rig(struct rig *r)
{
	char command[128];

	for (size_t i = 0; i < 2; i++)
		http_stream_close(r->servers[i]);
	desk_close(r->desk);
	loop_run(r->loop);
	loop_free(r->loop);
	store_close(r->store);
	close(r->fd);
	memory_free(r->data);
	snprintf(command, sizeof(command), "rm -rf %s", r->dir);
	assert_int_equal(system(command), 0);
}

static enum step rig_step(struct task *t)
{
	struct rig *r = CONTAINER(t, struct rig, task);

	if (t->at == 0) {
		push_start(&r->push, t, &r->target, r->name, r->token, r->fd, BIG_BYTES);
		return task_wait(t, 1);
	}
	if (t->children > 0)
		return task_wait(t, 1);
	timer_clear(&r->tick);
	return task_done(t, r->push.task.err);
}

static const char *const places[] = { "start", "pushed" };
static const struct task_kind rig_kind = {
	.name = "rig", .places = places, .place_count = 2, .step = rig_step
};

static void on_tick(struct timer *t)
{
	struct rig *r = CONTAINER(t, struct rig, tick);

	if (r->cancel_above && r->push.sent > r->cancel_above)
		task_cancel(&r->push.task);
	else
		timer_set(t, r->loop, loop_now_ms(r->loop) + 1, on_tick);
}

static enum err push(struct rig *r, const char *name)
{
	uint64_t end_ms = clock_now_ms() + WAIT_MS;

	r->name = slice_from(name);
	timer_set(&r->tick, r->loop, loop_now_ms(r->loop) + 1, on_tick);
	task_start_root(&r->task, &rig_kind, r->loop);
	while (task_is_running(&r->task)) {
		loop_turn(r->loop);
		assert_true(clock_now_ms() < end_ms);
	}
	return r->task.err;
}

static void expect_file(struct rig *r, const char *name)
{
	struct list *items = store_items(r->store);
	uint8_t *found = memory_take(BIG_BYTES + 1);
	int fd;

	assert_int_equal(r->items, 1);
	struct store_item *i = CONTAINER(items->next, struct store_item, link);
	assert_string_equal(i->item.name, name);
	assert_string_equal(i->item.from, "here");
	assert_int_equal(store_open_data(r->store, i, &fd), OK);
	assert_int_equal(read(fd, found, BIG_BYTES + 1), BIG_BYTES);
	assert_memory_equal(found, r->data, BIG_BYTES);
	close(fd);
	memory_free(found);
}

static void test_a_file_is_pushed_with_its_folders(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r);
	assert_int_equal(push(&r, "a b/\xc3\xa9.bin"), OK);
	assert_int_equal(r.push.sent, BIG_BYTES);
	assert_int_equal(r.push.offset, 0);
	expect_file(&r, "a b/\xc3\xa9.bin");
	close_rig(&r);
}

static void add_part(struct rig *r, size_t size)
{
	const struct store_sender who = { SLICE("n1"), SLICE("here"), SLICE("me"), { 0 } };
	struct upload *u;
	char why[STORE_WHY_BYTES];

	assert_int_equal(store_begin(r->store, &who, SLICE("file"), 0, BIG_BYTES, 1, &u, why), OK);
	assert_int_equal(upload_write(u, (struct slice) { r->data, size }, why), OK);
	upload_suspend(u);
}

static void test_what_is_there_is_not_sent_again(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r);
	add_part(&r, 3 * 1024 * 1024 + 100);
	assert_int_equal(push(&r, "file"), OK);
	assert_int_equal(r.push.offset, 3 * 1024 * 1024 + 100); /* the short block, too */
	expect_file(&r, "file");
	close_rig(&r);
}

static void test_a_part_that_is_another_is_replaced_from_there(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r);
	r.data[2 * DROP_BLOCK_BYTES + 5] ^= 1;
	add_part(&r, 10 * DROP_BLOCK_BYTES);
	r.data[2 * DROP_BLOCK_BYTES + 5] ^= 1;
	assert_int_equal(push(&r, "file"), OK);
	assert_int_equal(r.push.offset, 2 * DROP_BLOCK_BYTES);
	expect_file(&r, "file");
	close_rig(&r);
}

static void test_a_file_whose_answer_was_lost_is_not_taken_twice(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r);
	assert_int_equal(push(&r, "file"), OK);
	assert_int_equal(push(&r, "file"), OK);
	expect_file(&r, "file");
	item_draw_id(2, r.token); /* another file of this name is another file */
	assert_int_equal(push(&r, "file"), OK);
	assert_int_equal(r.items, 2);
	close_rig(&r);
}

static void test_a_push_can_be_canceled_at_any_moment_and_gone_on_with(void **state)
{
	(void)state;
	for (uint64_t above = 1; above < BIG_BYTES; above += BIG_BYTES / 4) {
		struct rig r;

		open_rig(&r);
		r.cancel_above = above;
		enum err err = push(&r, "file");
		assert_true(err == OK || err == ERR_CANCELED);
		/* The desk hears of it; if it had all of it by then, the file is kept. */
		for (uint64_t end_ms = clock_now_ms() + 150; clock_now_ms() < end_ms;)
			loop_turn(r.loop);
		r.cancel_above = 0;
		if (r.items == 0)
			assert_int_equal(push(&r, "file"), OK);
		expect_file(&r, "file");
		close_rig(&r);
	}
}

static void test_who_may_not_is_told_why(void **state)
{
	struct mesh_view_machine other = { .id = SLICE("n2"), .name = SLICE("other") };
	struct rig r;

	(void)state;
	open_rig(&r);
	r.machines[0].addresses[0] = ip_v4(0x64400009); /* the caller is nobody now */
	assert_int_equal(push(&r, "file"), ERR_DENIED);
	assert_non_null(strstr(r.push.task.why, "no machine of this mesh"));
	assert_int_equal(r.items, 0);
	assert_int_equal(push_find_target(&other, &r.target), ERR_UNSUPPORTED);
	close_rig(&r);
}

static void test_nobody_there_is_unavailable(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r);
	r.target.at.port = 9;
	assert_int_equal(push(&r, "file"), ERR_UNAVAILABLE);
	close_rig(&r);
}

static void test_a_file_that_became_shorter_is_not_promised(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r);
	assert_int_equal(ftruncate(r.fd, BIG_BYTES / 2), 0);
	assert_int_equal(push(&r, "file"), ERR_CONFLICT);
	for (int i = 0; i < 20; i++)
		loop_turn(r.loop);
	assert_int_equal(r.items, 0);
	close_rig(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_file_is_pushed_with_its_folders),
		cmocka_unit_test(test_what_is_there_is_not_sent_again),
		cmocka_unit_test(test_a_part_that_is_another_is_replaced_from_there),
		cmocka_unit_test(test_a_file_whose_answer_was_lost_is_not_taken_twice),
		cmocka_unit_test(test_a_push_can_be_canceled_at_any_moment_and_gone_on_with),
		cmocka_unit_test(test_who_may_not_is_told_why),
		cmocka_unit_test(test_nobody_there_is_unavailable),
		cmocka_unit_test(test_a_file_that_became_shorter_is_not_promised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

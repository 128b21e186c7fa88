#include "drop/store.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/scope.h"

enum { NOW = 1763800000, SENDER_ITEMS = 5 };
#define NOW_MS (NOW * 1000LL)

struct rig {
	struct task task;
	struct loop *loop;
	char dir[64];
	struct store *store;
	struct store_limits limits;
	struct upload *upload;
	struct upload_finish finish;
	enum err result;
	char why[STORE_WHY_BYTES];
};

static const struct store_sender phone = { SLICE("n2"), SLICE("phone"), SLICE("me"), { 0 } };
static const struct store_sender laptop = { SLICE("n1"), SLICE("laptop"), SLICE("me"), { 0 } };

static void reopen(struct rig *r)
{
	if (r->store)
		store_close(r->store);
	assert_int_equal(store_open(r->dir, &r->limits, &r->store, r->why), OK);
}

static void open_rig(struct rig *r)
{
	*r = (struct rig) { .loop = loop_new(0),
			    .limits = { .inbox_bytes = 1000,
					.sender_bytes = 600,
					.sender_items = SENDER_ITEMS,
					.reserve_bytes = 1,
					.keep_ms = 86400 * 1000 } };
	snprintf(r->dir, sizeof(r->dir), "/tmp/store-test-%d-XXXXXX", (int)getpid());
	assert_non_null(mkdtemp(r->dir));
	reopen(r);
}

static void close_rig(struct rig *r)
{
	char command[128];

	store_close(r->store);
	loop_run(r->loop);
	loop_free(r->loop);
	snprintf(command, sizeof(command), "rm -rf %s", r->dir);
	assert_int_equal(system(command), 0);
}

static enum step rig_step(struct task *t)
{
	struct rig *r = CONTAINER(t, struct rig, task);

	if (t->at == 0) {
		upload_finish(&r->finish, t, r->upload, NOW_MS);
		return task_wait(t, 1);
	}
	r->result = upload_finished(&r->finish);
	return task_done(t, OK);
}

static const char *const places[] = { "start", "finished" };
static const struct task_kind rig_kind = {
	.name = "rig", .places = places, .place_count = 2, .step = rig_step
};

static enum err finish(struct rig *r)
{
	task_start_root(&r->task, &rig_kind, r->loop);
	loop_run(r->loop);
	return r->result;
}

static enum err begin(struct rig *r, const struct store_sender *who, const char *name,
		      uint64_t offset, uint64_t total)
{
	return store_begin(r->store, who, slice_from(name), offset, total, NOW_MS, &r->upload,
			   r->why);
}

static void write_text(struct rig *r, const char *text)
{
	assert_int_equal(upload_write(r->upload, slice_from(text), r->why), OK);
}

static struct store_item *first(struct rig *r)
{
	struct list *items = store_items(r->store);

	return list_is_empty(items) ? NULL : CONTAINER(items->next, struct store_item, link);
}

static void expect_data(struct rig *r, const struct store_item *i, const char *text)
{
	char found[1024] = "";
	int fd;

	assert_int_equal(store_open_data(r->store, i, &fd), OK);
	assert_true(read(fd, found, sizeof(found) - 1) >= 0);
	assert_string_equal(found, text);
	close(fd);
}

static void test_a_file_is_in_the_inbox_once_it_is_whole_and_after_a_restart(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r);
	assert_int_equal(begin(&r, &phone, "photos/a.jpg", 0, 10), OK);
	write_text(&r, "hello");
	assert_null(first(&r));
	write_text(&r, "world");
	assert_int_equal(upload_write(r.upload, SLICE("!"), r.why), ERR_INVALID);
	assert_int_equal(finish(&r), OK);
	for (int i = 0; i < 2; i++) {
		assert_string_equal(first(&r)->item.name, "photos/a.jpg");
		assert_string_equal(first(&r)->item.from, "phone");
		assert_int_equal(first(&r)->item.size, 10);
		assert_int_equal(first(&r)->item.time_ms, NOW_MS);
		expect_data(&r, first(&r), "helloworld");
		reopen(&r);
	}
	assert_ptr_equal(store_find(r.store, first(&r)->item.id), first(&r));
	assert_int_equal(store_remove(r.store, first(&r)), OK);
	assert_null(first(&r));
	reopen(&r);
	assert_null(first(&r));
	close_rig(&r);
}

static void test_a_part_goes_on_where_it_was_left(void **state)
{
	struct rig r;
	bool is_sure;
	int fd;

	(void)state;
	open_rig(&r);
	assert_int_equal(begin(&r, &phone, "big", 0, STORE_SIZE_UNKNOWN), OK);
	write_text(&r, "hello");
	assert_int_equal(begin(&r, &phone, "big", 0, 10), ERR_BUSY);
	upload_suspend(r.upload);
	reopen(&r);
	assert_int_equal(store_part_bytes(r.store, phone.id, SLICE("big"), &is_sure), 5);
	assert_true(is_sure);
	assert_int_equal(store_part_bytes(r.store, laptop.id, SLICE("big"), &is_sure), 0);
	assert_int_equal(store_part_open(r.store, phone.id, SLICE("big"), &fd), OK);
	close(fd);
	assert_int_equal(begin(&r, &phone, "big", 6, 10), ERR_CONFLICT);
	assert_int_equal(begin(&r, &phone, "big", 4, 10), OK);
	assert_int_equal(upload_bytes(r.upload), 4);
	upload_discard(r.upload);
	assert_int_equal(store_part_bytes(r.store, phone.id, SLICE("big"), &is_sure), 0);
	close_rig(&r);
}

/* So that no sender can choose a name that is another's part. */
static void test_parts_are_named_by_a_hash_that_nobody_can_meet(void **state)
{
	char path[256], old_path[256];
	struct stat st;
	struct rig r;
	bool is_sure;

	(void)state;
	open_rig(&r);
	assert_int_equal(begin(&r, &phone, "notes", 0, STORE_SIZE_UNKNOWN), OK);
	write_text(&r, "hello");
	upload_suspend(r.upload);
	snprintf(path, sizeof(path), "%s/partial/%s", r.dir,
		 "1a351c20ed775681286bfaa01e5cb08c594453ee6d2b2cb5d750bb4c42c4719d");
	assert_int_equal(stat(path, &st), 0);
	/* as it was named before */
	struct hash128 hash = hash_content((struct slice) { (const uint8_t *)"n2\0notes", 8 });
	snprintf(old_path, sizeof(old_path), "%s/partial/%016llx%016llx", r.dir,
		 (unsigned long long)hash.high, (unsigned long long)hash.low);
	assert_int_equal(rename(path, old_path), 0);
	reopen(&r);
	assert_int_equal(store_usage(r.store).parts, 1);
	assert_int_equal(store_part_bytes(r.store, phone.id, SLICE("notes"), &is_sure), 5);
	assert_int_equal(stat(old_path, &st), -1);
	assert_int_equal(begin(&r, &phone, "notes", 5, 10), OK);
	write_text(&r, "world");
	assert_int_equal(finish(&r), OK);
	expect_data(&r, first(&r), "helloworld");
	close_rig(&r);
}

static void test_what_goes_on_is_one_file(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r);
	assert_int_equal(begin(&r, &phone, "big", 0, 10), OK);
	write_text(&r, "hello");
	upload_suspend(r.upload);
	assert_int_equal(begin(&r, &phone, "big", 4, 10), OK);
	write_text(&r, "-WORLD");
	assert_int_equal(finish(&r), OK);
	expect_data(&r, first(&r), "hell-WORLD");
	assert_int_equal(store_usage(r.store).bytes, 10);
	assert_int_equal(store_usage(r.store).part_bytes, 0);
	close_rig(&r);
}

static void test_room_is_for_everybody_and_counted_before_it_is_used(void **state)
{
	struct upload *first_upload;
	struct rig r;

	(void)state;
	open_rig(&r);
	assert_int_equal(begin(&r, &phone, "a", 0, 1001), ERR_FULL);
	assert_int_equal(begin(&r, &phone, "a", 0, 601), ERR_FULL);
	assert_non_null(strstr(r.why, "one sender"));
	assert_int_equal(begin(&r, &phone, "a", 0, 600), OK);
	first_upload = r.upload;
	assert_int_equal(begin(&r, &phone, "beside", 0, 1), ERR_FULL);
	assert_non_null(strstr(r.why, "one sender"));
	assert_int_equal(begin(&r, &laptop, "b", 0, 401), ERR_FULL);
	assert_int_equal(begin(&r, &laptop, "b", 0, 400), OK);
	upload_discard(r.upload);
	upload_discard(first_upload);
	r.limits.reserve_bytes = INT64_MAX;
	reopen(&r);
	assert_int_equal(begin(&r, &phone, "a", 0, 1), ERR_FULL);
	assert_non_null(strstr(r.why, "disk"));
	assert_int_equal(store_usage(r.store).parts, 0);
	close_rig(&r);
}

static void test_one_sender_does_not_fill_the_inbox_with_files_of_nothing(void **state)
{
	struct rig r;
	char name[16];

	(void)state;
	open_rig(&r);
	for (int i = 0; i < SENDER_ITEMS; i++) {
		snprintf(name, sizeof(name), "%d", i);
		assert_int_equal(begin(&r, &phone, name, 0, 0), OK);
		assert_int_equal(finish(&r), OK);
	}
	assert_int_equal(begin(&r, &phone, "more", 0, 0), ERR_FULL);
	assert_non_null(strstr(r.why, "one sender"));
	assert_int_equal(begin(&r, &laptop, "mine", 0, 0), OK);
	upload_discard(r.upload);
	close_rig(&r);
}

static void test_what_nobody_takes_goes_after_its_time(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r);
	assert_int_equal(begin(&r, &phone, "a", 0, 1), OK);
	write_text(&r, "a");
	assert_int_equal(finish(&r), OK);
	assert_int_equal(begin(&r, &phone, "part", 0, 5), OK);
	write_text(&r, "a");
	upload_suspend(r.upload);
	assert_int_equal(store_expire(r.store, NOW_MS + r.limits.keep_ms - 1), 0);
	first(&r)->readers = 1;
	assert_int_equal(store_expire(r.store, NOW_MS + r.limits.keep_ms), 0);
	first(&r)->readers = 0;
	assert_int_equal(store_expire(r.store, NOW_MS + r.limits.keep_ms), 1);
	assert_int_equal(store_usage(r.store).parts, 1);
	store_expire(r.store, NOW_MS + 8LL * 86400 * 1000);
	assert_int_equal(store_usage(r.store).parts, 0);
	reopen(&r);
	assert_int_equal(store_usage(r.store).parts + store_usage(r.store).files, 0);
	close_rig(&r);
}

static void test_what_is_damaged_is_left_and_what_hardly_began_is_removed(void **state)
{
	char path[128];
	struct stat st;
	struct rig r;

	(void)state;
	open_rig(&r);
	assert_int_equal(begin(&r, &phone, "a", 0, 1), OK);
	write_text(&r, "a");
	assert_int_equal(finish(&r), OK);
	snprintf(path, sizeof(path), "%s/inbox/%s/data", r.dir, first(&r)->item.id);
	assert_int_equal(truncate(path, 0), 0);
	snprintf(path, sizeof(path), "%s/partial/0123", r.dir);
	assert_int_equal(mkdir(path, 0700), 0);
	reopen(&r);
	assert_null(first(&r));
	assert_int_equal(stat(path, &st), -1);
	snprintf(path, sizeof(path), "ls %s/inbox | grep -q .", r.dir);
	assert_int_equal(system(path), 0);
	close_rig(&r);
}

static void test_descriptions_are_read_whole_or_not_at_all(void **state)
{
	static const char *const bad[] = { "",
					   "hanse-drop 1\n",
					   "hanse-drop 1\nname a\nsize 1\ntime 1\n",
					   "hanse-drop 1\nsize 1\ntime 1\nend\n",
					   "hanse-drop 1\nname a\nsize x\nend\n",
					   "hanse-drop 1\nname a\nother 1\nend\n",
					   "hanse-drop 1\nname a\nend\nmore\n" };
	struct item item;

	(void)state;
	item_init(&item);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(item_parse(slice_from(bad[i]), &item), ERR_INVALID);
	assert_int_equal(item_parse(SLICE("hanse-drop 2\n"), &item), ERR_UNSUPPORTED);
	assert_int_equal(item_parse(SLICE("hanse-drop 1\nname a b\nsize 3\ntime 4\nend\n"), &item),
			 OK);
	assert_string_equal(item.name, "a b");
	assert_int_equal(item.size, 3);
	item_done(&item);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_file_is_in_the_inbox_once_it_is_whole_and_after_a_restart),
		cmocka_unit_test(test_a_part_goes_on_where_it_was_left),
		cmocka_unit_test(test_parts_are_named_by_a_hash_that_nobody_can_meet),
		cmocka_unit_test(test_what_goes_on_is_one_file),
		cmocka_unit_test(test_room_is_for_everybody_and_counted_before_it_is_used),
		cmocka_unit_test(test_one_sender_does_not_fill_the_inbox_with_files_of_nothing),
		cmocka_unit_test(test_what_nobody_takes_goes_after_its_time),
		cmocka_unit_test(test_what_is_damaged_is_left_and_what_hardly_began_is_removed),
		cmocka_unit_test(test_descriptions_are_read_whole_or_not_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

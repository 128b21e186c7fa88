/* The directory bucket on the real file system: what a model cannot show.  Kills, full and
 * read-only disks, symbolic links, and how it opens. */
#include "buckets/directory.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/random.h"
#include "buckets/bucket_ask.h"
#include "buckets/directory_bucket.h"
#include "buckets/directory_model.h"

enum {
	PATH_BYTES = 128,
	KILLS = 30,
	FIRST_OBJECT_MS = 10000,
	KILL_AFTER_US_MAX = 12000,
	RACERS = 4,
	RACES = 40,
	BODY_BYTES_MAX = 20000,
	TMPFS_BODY_BYTES = 200 * 1024,
	NOBODY = 65534,
};

struct place {
	char path[PATH_BYTES]; /* a directory of its own */
	struct directory directory;
	struct loop *loop;
};

static int set_up(void **state)
{
	static int number;
	struct place *p = NEW(struct place);

	snprintf(p->path, sizeof(p->path), "/tmp/hanse-directory-%d-%d", getpid(), ++number);
	assert_int_equal(mkdir(p->path, 0755), 0);
	p->directory.system = &directory_system_real;
	p->directory.root = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(p->directory.root >= 0);
	p->loop = loop_new(1);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;
	char command[4 * PATH_BYTES];

	loop_free(p->loop);
	close(p->directory.root);
	snprintf(command, sizeof(command), "umount -q %s 2>&1; rm -rf %s", p->path, p->path);
	assert_int_equal(system(command), 0);
	memory_free(p);
	return 0;
}

static const char *path_of(const struct place *p, const char *name)
{
	static char path[2 * PATH_BYTES];

	snprintf(path, sizeof(path), "%s/%s", p->path, name);
	return path;
}

static enum err put(const struct directory *d, const char *key, struct slice body)
{
	struct directory_result result = { 0 };

	return directory_put(d, key, &body, 1, 0, &result);
}

static enum err head(const struct directory *d, const char *key)
{
	struct directory_result result = { 0 };
	uint64_t size;

	return directory_head(d, key, &size, &result);
}

static size_t count_names(const struct directory *d)
{
	struct directory_names names = { 0 };
	struct directory_result result = { 0 };
	size_t count;

	assert_int_equal(directory_list(d, SLICE(""), SLICE(""), &names, &result), OK);
	assert_false(names.more);
	count = names.count;
	buf_done(&names.text);
	return count;
}

/* --- kill -9 --------------------------------------------------------------------------------- */
/* What object `number` of life `life` holds. */
static struct slice body_of(uint8_t *storage, int life, int number)
{
	struct prng random = { (uint64_t)life << 32 | (uint64_t)number };
	size_t size = prng_below(&random, BODY_BYTES_MAX);

	for (size_t i = 0; i < size; i++)
		storage[i] = (uint8_t)(prng_next(&random) >> 8);
	return (struct slice) { storage, size };
}

static void key_of(char *key, size_t size, int life, int number)
{
	snprintf(key, size, "v1/%d/%02x/%d", life, number % 3, number);
}

/* Put objects and say so, until killed. */
static void live(const struct directory *d, int life, int said)
{
	uint8_t *storage = memory_take(BODY_BYTES_MAX);
	char key[64];

	for (int number = 0;; number++) {
		key_of(key, sizeof(key), life, number);
		if (put(d, key, body_of(storage, life, number)) != OK ||
		    write(said, &number, sizeof(number)) != sizeof(number))
			_exit(1);
	}
}

static bool is_exact(const struct directory *d, int life, int number)
{
	uint8_t *storage = memory_take(BODY_BYTES_MAX);
	struct slice expected = body_of(storage, life, number);
	struct directory_result result = { 0 };
	struct blob *body = NULL;
	uint64_t size;
	char key[64];
	enum err err;

	key_of(key, sizeof(key), life, number);
	err = directory_get(d, key, 0, UINT64_MAX, &body, &size, &result);
	assert_true(err == OK || err == ERR_NOT_FOUND);
	if (!err)
		assert_true(slice_equal(blob_slice(body), expected));
	blob_unref(&body);
	memory_free(storage);
	return !err;
}

/* One life; returns how many objects it left. */
static size_t live_and_die(const struct directory *d, int life, uint64_t after_us)
{
	int pipes[2], number, acknowledged = 0;
	size_t left = 0;
	pid_t child;

	assert_int_equal(pipe(pipes), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		live(d, life, pipes[1]);
	close(pipes[1]);
	if (life % 2) /* on a busy machine the others may die before their first object */
		poll(&(struct pollfd) { .fd = pipes[0], .events = POLLIN }, 1, FIRST_OBJECT_MS);
	usleep((useconds_t)after_us);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &number, 0), child);
	assert_true(WIFSIGNALED(number));
	while (read(pipes[0], &number, sizeof(number)) == sizeof(number)) {
		assert_int_equal(number, acknowledged++);
		assert_true(is_exact(d, life, number));
		left++;
	}
	close(pipes[0]);
	left += is_exact(d, life, acknowledged); /* linked, but it did not get to say so */
	return left;
}

static void kill_often(const struct directory *d)
{
	struct prng random = { 11 };
	size_t total = 0;

	for (int life = 0; life < KILLS; life++) {
		total += live_and_die(d, life, prng_below(&random, KILL_AFTER_US_MAX));
		assert_int_equal(count_names(d), total);
	}
	assert_true(total > 0);
	print_message("    %d kills, %zu objects\n", KILLS, total);
}

static void test_a_killed_process_leaves_only_whole_objects(void **state)
{
	struct place *p = *state;

	kill_often(&p->directory);
}

static int refuse_unnamed(void *context, int dir)
{
	(void)context;
	(void)dir;
	return -EOPNOTSUPP;
}

static void test_a_killed_process_does_so_where_files_must_have_names(void **state)
{
	struct place *p = *state;
	struct directory_system system = directory_system_real;

	system.create_unnamed = refuse_unnamed;
	p->directory.system = &system;
	kill_often(&p->directory);
}

/* --- large objects ------------------------------------------------------------------------------
 */

/* In pieces that end anywhere. */
static void put_and_get(const struct directory *d, size_t size)
{
	struct directory_result result = { 0 };
	struct prng random = { size };
	struct slice pieces[4];
	uint8_t *bytes = memory_take(size);
	struct blob *got = NULL;
	uint64_t got_size = 0;
	size_t from = 0;
	char key[64];

	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)prng_next(&random);
	for (size_t i = 0; i < 4; i++) {
		size_t part = i == 3 ? size - from : i == 1 ? 0 : size / 3 + i;
		pieces[i] = (struct slice) { bytes + from, part };
		from += part;
	}
	snprintf(key, sizeof(key), "large/%zu", size);
	for (int round = 0; round < 2; round++) /* the second one compares */
		assert_int_equal(directory_put(d, key, pieces, 4, 0, &result), OK);
	assert_int_equal(directory_get(d, key, 0, UINT64_MAX, &got, &got_size, &result), OK);
	assert_int_equal(got_size, size);
	assert_memory_equal(got->data, bytes, size);
	blob_unref(&got);
	memory_free(bytes);
}

static void put_and_get_sizes(struct place *p, const struct directory_system *system)
{
	static const size_t sizes[] = { 50000,	 65535,		65536,	 65537,		  69632,
					1 << 20, (1 << 20) + 1, 2 << 20, (3 << 20) + 4095 };

	p->directory.system = system;
	p->directory.direct_bytes_min = 65536;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		put_and_get(&p->directory, sizes[i]);
}

static size_t direct_count;
static bool is_direct_now;

static int count_direct(void *context, int fd, bool is_direct)
{
	direct_count++;
	is_direct_now = is_direct;
	return directory_system_real.set_direct(context, fd, is_direct);
}

/* A device that wants larger pieces than others. */
static ssize_t write_pages(void *context, int fd, const struct iovec *parts, int count)
{
	if (is_direct_now && parts[0].iov_len % (16 * DIRECTORY_DIRECT_ALIGN) != 0)
		return -EINVAL;
	return directory_system_real.write(context, fd, parts, count);
}

static int refuse_direct(void *context, int fd, bool is_direct)
{
	(void)context;
	(void)fd;
	return is_direct ? -EINVAL : 0;
}

static void test_large_objects_of_any_size_are_whole(void **state)
{
	struct directory_system system = directory_system_real;

	direct_count = 0;
	system.set_direct = count_direct;
	put_and_get_sizes(*state, &system);
	assert_int_equal(direct_count, 2 * 2 * 7); /* on and off, each put of the large ones */
}

static void test_large_objects_are_whole_on_any_file_system(void **state)
{
	struct directory_system system = directory_system_real;

	system.set_direct = refuse_direct;
	put_and_get_sizes(*state, &system);
}

static void test_large_objects_are_whole_on_any_device(void **state)
{
	struct directory_system system = directory_system_real;

	system.set_direct = count_direct;
	system.write = write_pages;
	put_and_get_sizes(*state, &system);
}

/* --- races --------------------------------------------------------------------------------------
 */

static void race(const struct directory *d, uint8_t racer, int said)
{
	char key[64];

	for (int i = 0; i < RACES; i++) {
		struct directory_result result = { 0 };
		struct slice body = { &racer, 1 };
		uint8_t won[2] = { (uint8_t)i, racer };

		snprintf(key, sizeof(key), "fence/%d", i);
		enum err err = directory_put_new(d, key, &body, 1, 0, &result);
		if (err != OK && err != ERR_EXISTS)
			_exit(1);
		if (!err && write(said, won, sizeof(won)) != sizeof(won))
			_exit(1);
	}
	_exit(0);
}

static void test_of_racing_processes_one_wins(void **state)
{
	struct place *p = *state;
	int pipes[2], status, winners[RACES] = { 0 };
	uint8_t won[2];

	assert_int_equal(pipe(pipes), 0);
	for (uint8_t racer = 0; racer < RACERS; racer++)
		if (fork() == 0)
			race(&p->directory, racer, pipes[1]);
	close(pipes[1]);
	while (read(pipes[0], won, sizeof(won)) == sizeof(won)) {
		struct directory_result result = { 0 };
		struct blob *body = NULL;
		uint64_t size;
		char key[64];

		winners[won[0]]++;
		snprintf(key, sizeof(key), "fence/%d", won[0]);
		assert_int_equal(directory_get(&p->directory, key, 0, 9, &body, &size, &result),
				 OK);
		assert_int_equal(body->data[0], won[1]);
		blob_unref(&body);
	}
	close(pipes[0]);
	for (int i = 0; i < RACERS; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	for (int i = 0; i < RACES; i++)
		assert_int_equal(winners[i], 1);
}

/* --- full, read-only, forbidden -------------------------------------------------------------- */
/* A small disk under the place, or skip: not everybody may mount. */
static void mount_small(struct place *p)
{
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", p->path, "tmpfs", 0, "size=1m") < 0) {
		print_message("    skipped: mounting a tmpfs is not allowed here\n");
		skip();
	}
	close(p->directory.root);
	p->directory.root = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(p->directory.root >= 0);
}

static uint64_t free_blocks(const struct place *p)
{
	struct statfs fs;

	assert_int_equal(statfs(p->path, &fs), 0);
	return fs.f_bfree;
}

static void test_a_full_disk_refuses_without_harm_and_heals(void **state)
{
	struct place *p = *state;
	struct directory_result result = { 0 };
	size_t stored = 0;
	uint64_t before;
	char key[32];

	mount_small(p); /* or skip, and not come back */
	uint8_t *bytes = memory_take(TMPFS_BODY_BYTES);
	struct slice body = { bytes, TMPFS_BODY_BYTES };
	for (enum err err = OK; !err; stored += !err) {
		snprintf(key, sizeof(key), "full/%zu", stored);
		before = free_blocks(p);
		err = put(&p->directory, key, body);
		assert_true(err == OK || err == ERR_FULL);
		assert_true(!err || free_blocks(p) == before);
	}
	assert_int_equal(stored, 5);
	assert_int_equal(put(&p->directory, key, body), ERR_FULL);
	assert_int_equal(count_names(&p->directory), stored);
	assert_int_equal(directory_delete(&p->directory, "full/0", &result), OK);
	assert_int_equal(put(&p->directory, key, body), OK);
	assert_int_equal(count_names(&p->directory), stored);
	memory_free(bytes);
}

static void test_a_read_only_disk_is_denied_and_can_be_read(void **state)
{
	struct place *p = *state;
	struct directory_result result = { 0 };

	mount_small(p);
	assert_int_equal(put(&p->directory, "a/b", SLICE("x")), OK);
	assert_int_equal(mount("none", p->path, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	assert_int_equal(put(&p->directory, "a/c", SLICE("x")), ERR_DENIED);
	assert_int_equal(put(&p->directory, "b/c", SLICE("x")), ERR_DENIED);
	assert_int_equal(directory_delete(&p->directory, "a/b", &result), ERR_DENIED);
	assert_int_equal(head(&p->directory, "a/b"), OK);
	assert_int_equal(count_names(&p->directory), 1);
	assert_int_equal(mount("none", p->path, NULL, MS_REMOUNT, NULL), 0);
	assert_int_equal(put(&p->directory, "a/c", SLICE("x")), OK);
}

static void test_a_directory_of_somebody_else_is_denied(void **state)
{
	struct place *p = *state;
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) { /* root is refused nothing, so not as root */
		if (getuid() == 0 && setuid(NOBODY) < 0)
			_exit(1);
		if (getuid() != NOBODY && fchmod(p->directory.root, 0500) < 0)
			_exit(1);
		if (put(&p->directory, "a", SLICE("x")) != ERR_DENIED ||
		    put(&p->directory, "a/b", SLICE("x")) != ERR_DENIED)
			_exit(2);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* --- what else may lie in a directory ----------------------------------------------------------
 */
static void test_symbolic_links_are_not_followed(void **state)
{
	struct place *p = *state;
	struct directory_result result = { 0 };
	char inside[PATH_BYTES + 16];

	assert_int_equal(put(&p->directory, "in/secret", SLICE("x")), OK);
	snprintf(inside, sizeof(inside), "%s/in", p->path);
	assert_int_equal(symlink(inside, path_of(p, "out")), 0);
	assert_int_equal(symlink("in/secret", path_of(p, "link")), 0);
	assert_int_equal(head(&p->directory, "out/secret"), ERR_NOT_FOUND);
	assert_int_equal(head(&p->directory, "link"), ERR_NOT_FOUND);
	assert_int_equal(put(&p->directory, "out/more", SLICE("x")), ERR_CONFLICT);
	assert_int_equal(put(&p->directory, "link", SLICE("x")), ERR_CONFLICT);
	assert_int_equal(directory_delete(&p->directory, "out/secret", &result), OK);
	assert_int_equal(head(&p->directory, "in/secret"), OK);
	assert_int_equal(count_names(&p->directory), 1);
}

static void test_what_is_no_object_is_not_shown_and_not_waited_for(void **state)
{
	struct place *p = *state;

	assert_int_equal(mkfifo(path_of(p, "fifo"), 0600), 0);
	assert_int_equal(mkdir(path_of(p, "directory"), 0700), 0);
	close(open(path_of(p, "not a key~"), O_CREAT | O_WRONLY, 0600));
	assert_int_equal(head(&p->directory, "fifo"), ERR_NOT_FOUND);
	assert_int_equal(head(&p->directory, "directory"), ERR_NOT_FOUND);
	assert_int_equal(put(&p->directory, "fifo", SLICE("")), ERR_CONFLICT);
	assert_int_equal(put(&p->directory, "directory", SLICE("")), ERR_CONFLICT);
	assert_int_equal(count_names(&p->directory), 0);
}

/* More entries that lead to no name than fit in one batch. */
static void test_many_empty_directories_hide_nothing(void **state)
{
	struct place *p = *state;
	char name[32];

	for (int i = 0; i < 2500; i++) {
		snprintf(name, sizeof(name), "d%04d", i);
		assert_int_equal(mkdir(path_of(p, name), 0700), 0);
	}
	close(open(path_of(p, "d1200/x"), O_CREAT | O_WRONLY, 0600));
	close(open(path_of(p, "d2499/y"), O_CREAT | O_WRONLY, 0600));
	assert_int_equal(count_names(&p->directory), 2);
}

/* --- opening --------------------------------------------------------------------------------- */
static enum err try_open(const char *url, char why[TASK_WHY_BYTES])
{
	struct bucket *b = NULL;
	enum err err = bucket_open(url, &b, why);

	if (!err)
		bucket_close(b);
	return err;
}

static void test_a_missing_directory_is_created_if_its_parent_exists(void **state)
{
	struct place *p = *state;
	char url[2 * PATH_BYTES], why[TASK_WHY_BYTES] = "";

	snprintf(url, sizeof(url), "file:%s/new", p->path);
	assert_int_equal(try_open(url, why), OK);
	assert_int_equal(access(path_of(p, "new"), X_OK), 0);
	snprintf(url, sizeof(url), "file:%s/no/parent", p->path);
	assert_int_equal(try_open(url, why), ERR_NOT_FOUND);
	assert_non_null(strstr(why, "create it first"));
	assert_int_equal(access(path_of(p, "no"), F_OK), -1);
}

static void test_the_default_place_is_created_with_its_parent(void **state)
{
	struct place *p = *state;
	char why[TASK_WHY_BYTES] = "", *before = getcwd(NULL, 0);

	assert_int_equal(chdir(p->path), 0);
	assert_int_equal(try_open("file:./var/bucket", why), OK);
	assert_int_equal(try_open("file:./var/bucket", why), OK);
	assert_int_equal(access(path_of(p, "var/bucket"), X_OK), 0);
	assert_int_equal(chdir(before), 0);
	memory_free(before);
}

static void test_what_cannot_be_a_bucket_is_refused_with_a_reason(void **state)
{
	struct place *p = *state;
	char url[2 * PATH_BYTES], why[TASK_WHY_BYTES] = "";
	static const struct {
		const char *suffix, *why;
		enum err err;
	} rows[] = {
		{ "/file", "not a directory", ERR_INVALID },
		{ "?clas=cas", "did you mean \"class\"", ERR_INVALID },
		{ "?class=best", "raw and cas", ERR_INVALID },
		{ "?class=raw&class=cas", "repeated", ERR_INVALID },
	};

	close(open(path_of(p, "file"), O_CREAT | O_WRONLY, 0600));
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		snprintf(url, sizeof(url), "file:%s%s", p->path, rows[i].suffix);
		assert_int_equal(try_open(url, why), rows[i].err);
		assert_non_null(strstr(why, rows[i].why));
	}
	assert_int_equal(try_open("file:", why), ERR_INVALID);
	assert_int_equal(try_open("s4:bucket", why), ERR_INVALID);
	assert_non_null(strstr(why, "file:DIRECTORY"));
}

static void test_old_drafts_are_swept_and_young_ones_are_not(void **state)
{
	struct place *p = *state;
	struct timeval old[2] = { { .tv_sec = 1000000 }, { .tv_sec = 1000000 } };
	char url[2 * PATH_BYTES], why[TASK_WHY_BYTES] = "";

	assert_int_equal(mkdir(path_of(p, DIRECTORY_DRAFTS), 0700), 0);
	close(open(path_of(p, DIRECTORY_DRAFTS "/old"), O_CREAT | O_WRONLY, 0600));
	close(open(path_of(p, DIRECTORY_DRAFTS "/young"), O_CREAT | O_WRONLY, 0600));
	assert_int_equal(utimes(path_of(p, DIRECTORY_DRAFTS "/old"), old), 0);
	snprintf(url, sizeof(url), "file:%s", p->path);
	assert_int_equal(try_open(url, why), OK);
	assert_int_equal(access(path_of(p, DIRECTORY_DRAFTS "/old"), F_OK), -1);
	assert_int_equal(access(path_of(p, DIRECTORY_DRAFTS "/young"), F_OK), 0);
}

static void test_a_local_directory_is_of_class_cas_unless_told_otherwise(void **state)
{
	static const struct {
		const char *parameter;
		enum bucket_class class;
	} cases[] = {
		{ "", BUCKET_CAS },
		{ "?class=cas", BUCKET_CAS },
		{ "?class=raw", BUCKET_RAW },
	};
	struct place *p = *state;
	struct bucket *b = NULL;
	char url[2 * PATH_BYTES], why[TASK_WHY_BYTES];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		snprintf(url, sizeof(url), "file:%s%s", p->path, cases[i].parameter);
		assert_int_equal(bucket_open(url, &b, why), OK);
		assert_int_equal(b->class, cases[i].class);
		bucket_close(b);
	}
}

static void test_a_file_system_that_is_not_known_to_be_local_is_of_class_raw(void **state)
{
	(void)state;
	assert_int_equal(directory_class_of(EXT4_SUPER_MAGIC), BUCKET_CAS);
	assert_int_equal(directory_class_of(NFS_SUPER_MAGIC), BUCKET_RAW);
	assert_int_equal(directory_class_of(SMB2_SUPER_MAGIC), BUCKET_RAW);
	assert_int_equal(directory_class_of(FUSE_SUPER_MAGIC), BUCKET_RAW);
	assert_int_equal(directory_class_of(0), BUCKET_RAW);
}

/* --- a disk that loses writes ------------------------------------------------------------------
 */
static void test_after_a_failed_fsync_the_bucket_only_reads(void **state)
{
	struct place *p = *state;
	struct directory_model *model = directory_model_new();
	struct directory d = {
		.system = &directory_system_model,
		.context = model,
		.root = DIRECTORY_MODEL_ROOT,
	};
	struct bucket *b = directory_bucket_new(&d, BUCKET_CAS);
	struct directory_model_plan plan = { .fail_at = 1, .fail_count = 99, .fail_with = EIO };
	struct blob *body = NULL;

	assert_int_equal(bucket_ask_put(p->loop, b, SLICE("a"), SLICE("x")), OK);
	plan.fail_at = 3; /* create, write, fsync */
	directory_model_set_plan(model, &plan);
	assert_int_equal(bucket_ask_put(p->loop, b, SLICE("b"), SLICE("x")), ERR_IO);
	plan.fail_at = 0;
	directory_model_set_plan(model, &plan);
	assert_int_equal(bucket_ask_put(p->loop, b, SLICE("c"), SLICE("x")), ERR_IO);
	assert_int_equal(bucket_ask_put_new(p->loop, b, SLICE("c"), SLICE("x")), ERR_IO);
	assert_int_equal(bucket_ask_delete(p->loop, b, SLICE("a")), ERR_IO);
	assert_int_equal(bucket_ask_get(p->loop, b, SLICE("a"), &body), OK);
	blob_unref(&body);
	bucket_close(b);

	b = directory_bucket_new(&d, BUCKET_CAS);
	assert_int_equal(bucket_ask_put(p->loop, b, SLICE("c"), SLICE("x")), OK);
	bucket_close(b);
	directory_model_free(model);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_killed_process_leaves_only_whole_objects),
		TEST(test_a_killed_process_does_so_where_files_must_have_names),
		TEST(test_large_objects_of_any_size_are_whole),
		TEST(test_large_objects_are_whole_on_any_file_system),
		TEST(test_large_objects_are_whole_on_any_device),
		TEST(test_of_racing_processes_one_wins),
		TEST(test_a_directory_of_somebody_else_is_denied),
		TEST(test_symbolic_links_are_not_followed),
		TEST(test_what_is_no_object_is_not_shown_and_not_waited_for),
		TEST(test_many_empty_directories_hide_nothing),
		TEST(test_a_missing_directory_is_created_if_its_parent_exists),
		TEST(test_a_local_directory_is_of_class_cas_unless_told_otherwise),
		TEST(test_a_file_system_that_is_not_known_to_be_local_is_of_class_raw),
		TEST(test_the_default_place_is_created_with_its_parent),
		TEST(test_what_cannot_be_a_bucket_is_refused_with_a_reason),
		TEST(test_old_drafts_are_swept_and_young_ones_are_not),
		TEST(test_after_a_failed_fsync_the_bucket_only_reads),
		TEST(test_a_full_disk_refuses_without_harm_and_heals),
		TEST(test_a_read_only_disk_is_denied_and_can_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

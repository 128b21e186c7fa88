/* How long until an object is durable: a directory bucket through its tasks, one put at a time and
 * many at once.  The physical bound beside it is a write and an fdatasync over a file that already
 * has its blocks.  Files go below the directory given, by default build/bench. */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "buckets/bucket_ask.h"

enum { ROUNDS_MAX = 200, ROUND_BYTES = 256 << 20, ABREAST = 32, KEY_BYTES = 64, NAME_WIDTH = 44 };

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void print_times(const char *name, size_t size, uint64_t *times_us, size_t count)
{
	char label[NAME_WIDTH + 1];

	qsort(times_us, count, sizeof(*times_us), compare_u64);
	snprintf(label, sizeof(label), "%s, %zu KiB", name, size >> 10);
	printf("%-*s p50 %8.2f ms  p99 %8.2f ms\n", NAME_WIDTH, label,
	       (double)times_us[count / 2] / 1000, (double)times_us[count * 99 / 100] / 1000);
}

static size_t rounds_for(size_t size)
{
	return ROUND_BYTES / size < ROUNDS_MAX ? ROUND_BYTES / size : ROUNDS_MAX;
}

static void measure_bound(const char *directory, struct slice body)
{
	uint64_t times_us[ROUNDS_MAX];
	char path[KEY_BYTES * 4];
	size_t rounds = rounds_for(body.size);

	snprintf(path, sizeof(path), "%s/bound", directory);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	for (size_t i = 0; i <= rounds; i++) {
		uint64_t start = clock_now_us();

		if (fd < 0 || pwrite(fd, body.data, body.size, 0) != (ssize_t)body.size ||
		    fdatasync(fd) < 0)
			abort();
		if (i > 0) /* the first one allocates */
			times_us[i - 1] = clock_now_us() - start;
	}
	close(fd);
	unlink(path);
	print_times("write and fdatasync", body.size, times_us, rounds);
}

/* --- the bucket ------------------------------------------------------------------------------ */
static void key_of(char key[KEY_BYTES], uint64_t run, size_t number)
{
	snprintf(key, KEY_BYTES, "v1/d/%02x/%016llx-%zu", (unsigned)number % 16,
		 (unsigned long long)run, number);
}

static void measure_single(struct loop *loop, struct bucket *b, struct slice body, uint64_t run)
{
	uint64_t times_us[ROUNDS_MAX];
	size_t rounds = rounds_for(body.size);
	char key[KEY_BYTES];

	for (size_t i = 0; i < rounds; i++) {
		uint64_t start = clock_now_us();

		key_of(key, run, i);
		if (bucket_ask_put(loop, b, slice_from(key), body) != OK)
			abort();
		times_us[i] = clock_now_us() - start;
	}
	print_times("put", body.size, times_us, rounds);
}

static void remove_all(struct loop *loop, struct bucket *b, size_t count, uint64_t run)
{
	char key[KEY_BYTES];

	for (size_t i = 0; i < count; i++) {
		key_of(key, run, i);
		if (bucket_ask_delete(loop, b, slice_from(key)) != OK)
			abort();
	}
}

struct crowd {
	struct task task;
	struct bucket *bucket;
	struct slice body;
	uint64_t run;
	struct bucket_op ops[ABREAST];
	char keys[ABREAST][KEY_BYTES];
};

static enum step crowd_step(struct task *t)
{
	struct crowd *c = CONTAINER(t, struct crowd, task);

	if (t->at == 1)
		return t->children > 0 ? task_wait(t, 1) : task_done(t, OK);
	for (size_t i = 0; i < ABREAST; i++) {
		key_of(c->keys[i], c->run, i);
		bucket_put(&c->ops[i], t, c->bucket, slice_from(c->keys[i]), c->body);
	}
	return task_wait(t, 1);
}

static const struct task_kind crowd_kind = { .name = "crowd", .step = crowd_step };

static void measure_abreast(struct loop *loop, struct bucket *b, struct slice body, uint64_t run)
{
	struct crowd *c = NEW(struct crowd);
	uint64_t start = clock_now_us(), passed_us;
	char label[NAME_WIDTH + 1];

	*c = (struct crowd) { .bucket = b, .body = body, .run = run };
	task_start_root(&c->task, &crowd_kind, loop);
	loop_run(loop);
	passed_us = clock_now_us() - start;
	assert(!task_is_running(&c->task));
	snprintf(label, sizeof(label), "%d puts at once, %zu KiB", ABREAST, body.size >> 10);
	printf("%-*s %8.0f puts/s  %8.0f MB/s\n", NAME_WIDTH, label,
	       ABREAST * 1e6 / (double)passed_us,
	       (double)ABREAST * (double)body.size / (double)passed_us);
	memory_free(c);
}

int main(int argc, char **argv)
{
	static const size_t sizes[] = { 4 << 10, 256 << 10, 1 << 20, 8 << 20 };
	const char *directory = argc > 1 ? argv[1] : "build/bench";
	char url[KEY_BYTES * 4], why[TASK_WHY_BYTES];
	struct loop *loop = loop_new(0);
	uint64_t run = random_u64();
	struct bucket *b;

	snprintf(url, sizeof(url), "file:%s/bucket", directory);
	(void)mkdir(directory, 0755);
	if (bucket_open(url, &b, why) != OK) {
		fprintf(stderr, "bucket_put: %s\n", why);
		return 1;
	}
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		uint8_t *bytes = memory_take(sizes[i]);
		struct slice body = { bytes, sizes[i] };

		random_bytes(bytes, sizes[i]);
		measure_bound(directory, body);
		measure_single(loop, b, body, run + 2 * i);
		measure_abreast(loop, b, body, run + 2 * i + 1);
		memory_free(bytes);
	}
	/* At the end: ext4 is slow to allocate next to inodes freed a moment ago. */
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		remove_all(loop, b, rounds_for(sizes[i]), run + 2 * i);
		remove_all(loop, b, ABREAST, run + 2 * i + 1);
	}
	bucket_close(b);
	loop_free(loop);
	return 0;
}

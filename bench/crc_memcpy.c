/* The physical bound of produce: every byte is copied once out of the socket and checksummed once.
 * Then what the check of record batches reaches of it, by size of record and batch. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/crc32c.h"
#include "base/memory.h"
#include "base/random.h"
#include "wire/kafka/record_batch_build.h"

enum { ROUNDS = 5, ROUND_US = 60000, LARGE_BYTES = 64 << 20, NAME_WIDTH = 44 };

/* What is measured: `work` goes over `bytes` once. */
struct measure {
	struct slice bytes;
	uint8_t *copy;
	uint64_t result; /* used, so that nothing is optimised away */
};
typedef void work_function(struct measure *m);

static double best_bytes_per_us(struct measure *m, work_function *work)
{
	double best = 0;

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t start = clock_now_us(), passed = 0;
		size_t times = 0;
		while (passed < ROUND_US) {
			work(m);
			times++;
			passed = clock_now_us() - start;
		}
		double speed = (double)times * (double)m->bytes.size / (double)passed;
		if (speed > best)
			best = speed;
	}
	return best;
}

static void copy_work(struct measure *m)
{
	memcpy(m->copy, m->bytes.data, m->bytes.size);
	m->result += m->copy[m->bytes.size / 2];
}

static void crc_work(struct measure *m)
{
	m->result += crc32c(m->bytes);
}

/* The socket's buffer is copied and checksummed while it is still in the cache. */
static void copy_and_crc_work(struct measure *m)
{
	enum { STEP_BYTES = 64 << 10 };

	for (size_t at = 0; at < m->bytes.size; at += STEP_BYTES) {
		struct slice step = slice_part(m->bytes, at, STEP_BYTES);
		memcpy(m->copy + at, step.data, step.size);
		m->result += crc32c((struct slice) { m->copy + at, step.size });
	}
}

static void check_work(struct measure *m)
{
	const struct record_batch_rules rules = { .size_max = RECORD_BATCH_BYTES_MAX };
	struct slice in = m->bytes;
	struct record_batch b;

	while (in.size) {
		if (record_batch_next(&in, &b) != OK)
			abort();
		int16_t code = record_batch_check(&b, &rules);
		if (code)
			abort();
		m->result += b.crc;
	}
}

static void records_work(struct measure *m)
{
	struct slice in = m->bytes;
	struct record_batch b;
	struct records_match match;

	while (in.size) {
		if (record_batch_next(&in, &b) != OK ||
		    records_find_max_timestamp(&b, 0, &match) != OK)
			abort();
		m->result += (uint64_t)match.timestamp_ms;
	}
}

static void print_line(const char *name, double bytes_per_us)
{
	printf("%-*s %9.2f GB/s\n", NAME_WIDTH, name, bytes_per_us / 1000);
}

static void measure_bound(size_t size, const char *label)
{
	static const struct {
		const char *name;
		work_function *work;
	} works[] = { { "memcpy", copy_work },
		      { "crc32c", crc_work },
		      { "memcpy and crc32c", copy_and_crc_work } };
	uint8_t *bytes = memory_take(size);
	struct measure m = { .bytes = { bytes, size }, .copy = memory_take(size) };
	char name[NAME_WIDTH + 1];

	memset(bytes, 'x', size);
	for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++) {
		snprintf(name, sizeof(name), "%s, %s", works[i].name, label);
		print_line(name, best_bytes_per_us(&m, works[i].work));
	}
	memory_free(m.copy);
	memory_free(bytes);
}

/* 16 MiB of batches, so that they do not stay in the cache. */
static void build_batches(struct buf *out, size_t record_bytes, size_t batch_bytes)
{
	size_t count = batch_bytes / record_bytes ? batch_bytes / record_bytes : 1;
	struct record *records = memory_take_array(count, sizeof(*records));
	uint8_t *value = memory_take(record_bytes);
	struct record_batch_plan plan = RECORD_BATCH_PLAIN;
	struct prng prng = { 1 };

	for (size_t i = 0; i < record_bytes; i++)
		value[i] = (uint8_t)prng_next(&prng);
	for (size_t i = 0; i < count; i++) {
		records[i].timestamp_ms = 1700000000000 + (int64_t)i;
		records[i].value = (struct slice) { value, record_bytes };
	}
	while (out->size < (16 << 20))
		record_batch_build(out, &plan, records, count);
	memory_free(value);
	memory_free(records);
}

static void measure_batches(size_t record_bytes, size_t batch_bytes)
{
	struct buf batches;
	char name[NAME_WIDTH + 1];

	buf_init(&batches);
	build_batches(&batches, record_bytes, batch_bytes);
	struct measure m = { .bytes = buf_slice(&batches) };

	double speed = best_bytes_per_us(&m, check_work);
	snprintf(name, sizeof(name), "check, %zu B records in %zu KiB batches", record_bytes,
		 batch_bytes >> 10);
	printf("%-*s %9.2f GB/s %9.1f M records/s\n", NAME_WIDTH, name, speed / 1000,
	       speed / (double)record_bytes);
	speed = best_bytes_per_us(&m, records_work);
	snprintf(name, sizeof(name), "read records, %zu B in %zu KiB batches", record_bytes,
		 batch_bytes >> 10);
	printf("%-*s %9.2f GB/s %9.1f M records/s\n", NAME_WIDTH, name, speed / 1000,
	       speed / (double)record_bytes);
	buf_done(&batches);
}

int main(void)
{
	measure_bound(64 << 10, "64 KiB");
	measure_bound(LARGE_BYTES, "64 MiB");
	measure_batches(100, 1 << 10);
	measure_batches(100, 16 << 10);
	measure_batches(100, 1 << 20);
	measure_batches(1024, 16 << 10);
	measure_batches(1024, 1 << 20);
	return 0;
}

/* What a second request saves when one in a hundred takes a second: puts and gets of a store as
 * slow as S3, with and without hedging. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "buckets/fault.h"
#include "buckets/hedge.h"

enum {
	ASKERS = 64, /* at the same time */
	ROUNDS = 50, /* of each */
	OPS = ASKERS * ROUNDS,
	KEY_BYTES = 32,
	BODY_BYTES = 8 << 10,
};

static const struct fault_store s3 = {
	.put = { 100, 195 },
	.get = { 63, 78 },
	.other = { 63, 78 },
	.slow_ppm = 10000,
	.slow_ms = 1000,
};

struct asker {
	struct task task;
	struct bucket *bucket;
	struct bucket_op op;
	enum bucket_verb verb;
	uint64_t start_us, *times_us;
	int number, round;
	char key[KEY_BYTES];
};

static uint8_t body[BODY_BYTES];

static enum step asker_step(struct task *t)
{
	struct asker *a = CONTAINER(t, struct asker, task);

	if (t->children > 0)
		return task_wait(t, t->at);
	if (t->at > 0) {
		if (a->op.task.err) {
			fprintf(stderr, "hedge_bench: %s\n", err_name(a->op.task.err));
			exit(1);
		}
		a->times_us[a->number * ROUNDS + a->round++] = clock_now_us() - a->start_us;
		blob_unref(&a->op.ret_body);
	}
	if (a->round == ROUNDS)
		return task_done(t, OK);
	snprintf(a->key, sizeof(a->key), "%d/%d", a->number, a->round);
	a->start_us = clock_now_us();
	if (a->verb == BUCKET_PUT)
		bucket_put(&a->op, t, a->bucket, slice_from(a->key),
			   (struct slice) { body, sizeof(body) });
	else
		bucket_get(&a->op, t, a->bucket, slice_from(a->key), 0, sizeof(body));
	return task_wait(t, 1);
}

static const struct task_kind asker_kind = { .name = "asker", .step = asker_step };

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void measure(struct loop *loop, struct bucket *b, enum bucket_verb verb, const char *name)
{
	static struct asker askers[ASKERS];
	static uint64_t times_us[OPS];

	for (int i = 0; i < ASKERS; i++) {
		askers[i] = (struct asker) {
			.bucket = b, .verb = verb, .times_us = times_us, .number = i
		};
		task_start_root(&askers[i].task, &asker_kind, loop);
	}
	loop_run(loop);
	qsort(times_us, OPS, sizeof(*times_us), compare_u64);
	printf("%-28s p50 %4.0f  p99 %4.0f  p99.9 %4.0f  max %4.0f ms", name,
	       (double)times_us[OPS / 2] / 1e3, (double)times_us[OPS * 99 / 100] / 1e3,
	       (double)times_us[OPS - OPS / 1000] / 1e3, (double)times_us[OPS - 1] / 1e3);
}

static struct bucket *store_new(void)
{
	char why[TASK_WHY_BYTES];
	struct bucket *memory, *store;

	if (bucket_open("memory:", &memory, why)) {
		fprintf(stderr, "hedge_bench: %s\n", why);
		exit(1);
	}
	store = fault_bucket_new(memory, 1);
	fault_set_store(store, &s3);
	return store;
}

int main(void)
{
	struct loop *loop = loop_new(0);
	struct bucket *plain = store_new(), *hedged = hedge_bucket_if_far(store_new());

	printf("%d puts and gets, %d at a time; 1 %% of the requests take 1 s\n", OPS, ASKERS);
	measure(loop, plain, BUCKET_PUT, "put, asked once");
	measure(loop, hedged, BUCKET_PUT, "\nput, a second time if late");
	measure(loop, plain, BUCKET_GET, "\nget, asked once");
	measure(loop, hedged, BUCKET_GET, "\nget, a second time if late");
	struct hedge_counts counts = hedge_get_counts(hedged);
	printf("\nsecond requests: %.1f %%, of which %.0f %% won\n",
	       100 * (double)counts.second / (double)counts.first,
	       100 * (double)counts.won / (double)(counts.second ? counts.second : 1));
	hedge_finish(hedged, loop);
	bucket_close(plain);
	bucket_close(hedged);
	loop_free(loop);
	return 0;
}

/* Agents that come to a bucket for the first time, alone or several at once. */
#include "cells/cluster_join.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "buckets/fault.h"
#include "buckets/memory.h"

enum { AGENTS = 2, SEEDS = 40, SEEDS_RAW = 6 };

struct agent {
	struct task task;
	struct cluster_join join;
	struct bucket *bucket;
	struct uuid cluster_id;
	bool has_records;
	enum err err;
};

static enum step agent_step(struct task *t)
{
	struct agent *a = CONTAINER(t, struct agent, task);

	if (t->at == 0) {
		cluster_join(&a->join, t, a->bucket, a->cluster_id);
		a->join.has_records = a->has_records;
		return task_wait(t, 1);
	}
	a->err = a->join.task.err;
	return task_done(t, OK);
}

static const struct task_kind agent_kind = { .name = "agent", .step = agent_step };

/* All of them at once; returns how many may use the bucket. */
static int join(const char *class, uint64_t seed, struct agent *agents, int count)
{
	struct loop *loop = loop_new(seed);
	char url[64], why[TASK_WHY_BYTES];
	struct bucket *bucket;
	int joined = 0;

	snprintf(url, sizeof(url), "memory:join?class=%s", class);
	assert_int_equal(bucket_open(url, &bucket, why), OK);
	bucket = fault_bucket_new(bucket, 0); /* stores do not notice that they overwrite */
	fault_add(bucket, &(struct fault) { .effect = FAULT_OVERWRITE,
					    .verbs = FAULT_VERB(BUCKET_PUT),
					    .prefix = CLUSTER_KEY,
					    .count = UINT64_MAX });
	for (int i = 0; i < count; i++) {
		agents[i].bucket = bucket;
		task_start_root(&agents[i].task, &agent_kind, loop);
	}
	loop_run(loop);
	for (int i = 0; i < count; i++)
		joined += agents[i].err == OK;
	bucket_close(bucket);
	loop_free(loop);
	return joined;
}

static void test_a_bucket_takes_the_first_cluster_that_comes(void **state)
{
	static const char *const classes[] = { "cas", "raw" };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct agent first = { .cluster_id = { { 1 } } },
			     other = { .cluster_id = { { 2 } } };

		assert_int_equal(join(classes[i], 1, &first, 1), 1);
		assert_int_equal(join(classes[i], 1, &first, 1), 1);
		assert_int_equal(join(classes[i], 1, &other, 1), 0);
		assert_int_equal(other.err, ERR_INVALID);
		memory_bucket_forget("join");
		first.has_records = true;
		assert_int_equal(join(classes[i], 1, &first, 1), 0);
		assert_int_equal(first.err, ERR_INVALID);
		memory_bucket_forget("join");
	}
}

static void test_agents_of_one_cluster_may_come_at_once(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct agent agents[AGENTS] = { 0 };
		bool is_raw = seed <= SEEDS_RAW;

		assert_int_equal(join(is_raw ? "raw" : "cas", seed, agents, AGENTS), AGENTS);
		memory_bucket_forget("join");
	}
}

/* The names of their files would be the same. */
static void test_of_two_clusters_at_once_one_has_the_bucket(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct agent agents[AGENTS] = { { .cluster_id = { { 1 } } },
						{ .cluster_id = { { 2 } } } };
		bool is_raw = seed <= SEEDS_RAW;

		assert_int_equal(join(is_raw ? "raw" : "cas", seed, agents, AGENTS), 1);
		memory_bucket_forget("join");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_bucket_takes_the_first_cluster_that_comes),
		cmocka_unit_test(test_agents_of_one_cluster_may_come_at_once),
		cmocka_unit_test(test_of_two_clusters_at_once_one_has_the_bucket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What a policy costs control: reading and compiling it for a thousand machines, and one
 * question. */
#include <stdio.h>
#include <stdlib.h>

#include "access/compile.h"
#include "access/decide.h"
#include "base/clock.h"
#include "base/memory.h"

enum { MACHINES = 1000, USERS = 200, TAGS = 20, NAME_BYTES = 32, QUESTIONS = 100000 };

static struct access_machine machines[MACHINES];
static struct ip addresses[MACHINES][2];
static char names[MACHINES][NAME_BYTES], users[USERS][NAME_BYTES], tags[TAGS][NAME_BYTES];
static struct slice tag_slices[TAGS];

static void make_world(void)
{
	uint8_t v6[16] = { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0 };

	for (int i = 0; i < USERS; i++)
		snprintf(users[i], NAME_BYTES, "user%d@example.com", i);
	for (int i = 0; i < TAGS; i++) {
		snprintf(tags[i], NAME_BYTES, "tag:t%d", i);
		tag_slices[i] = slice_from(tags[i]);
	}
	for (int i = 0; i < MACHINES; i++) {
		snprintf(names[i], NAME_BYTES, "machine%d", i);
		v6[14] = (uint8_t)(i >> 8);
		v6[15] = (uint8_t)i;
		addresses[i][0] = ip_v4(0x64400001 + (uint32_t)i);
		addresses[i][1] = ip_v6(v6);
		machines[i] = (struct access_machine) { .id = (uint64_t)i + 1,
							.name = slice_from(names[i]),
							.user = slice_from(users[i % USERS]),
							.tags = &tag_slices[i % TAGS],
							.tag_count = i % 3 == 0,
							.addresses = addresses[i],
							.address_count = 2 };
	}
}

/* Groups of users may reach ports of tags; now and then something is forbidden. */
static void make_policy(struct buf *b, int rules)
{
	buf_add_text(b, "{\"groups\":{");
	for (int i = 0; i < 20; i++) {
		buf_add_format(b, "%s\"group:g%d\":[", i ? "," : "", i);
		for (int j = 0; j < 10; j++)
			buf_add_format(b, "%s\"%s\"", j ? "," : "", users[i * 10 + j]);
		buf_add_text(b, "]");
	}
	buf_add_text(b, "},\"tagOwners\":{");
	for (int i = 0; i < TAGS; i++)
		buf_add_format(b, "%s\"%s\":[]", i ? "," : "", tags[i]);
	buf_add_text(b, "},\"allow\":[{\"src\":[\"autogroup:member\"],"
			"\"dst\":[\"autogroup:self:*\"]}");
	for (int i = 0; i < rules; i++)
		buf_add_format(b, ",{\"src\":[\"group:g%d\",\"%s\"],\"dst\":[\"%s:%d,%d-%d\"]}",
			       i % 20, tags[(i + 3) % TAGS], tags[i % TAGS], 80 + i % 40,
			       8000 + i % 10, 8100 + i % 10);
	buf_add_text(b, "],\"forbid\":[{\"src\":[\"group:g3\"],\"dst\":[\"tag:t3:22\"]}]}");
}

static double ms_since(uint64_t start_us)
{
	return (double)(clock_now_us() - start_us) / 1000;
}

static void measure(int rules)
{
	struct access_world world = { machines, MACHINES };
	struct policy_problems *problems = NEW(struct policy_problems);
	struct compiled_filter filter;
	const struct policy *policy;
	struct compiler *c;
	struct buf text;
	struct arena a;
	size_t seen = 0, allowed = 0;
	uint64_t start;

	arena_init(&a);
	buf_init(&text);
	make_policy(&text, rules);
	start = clock_now_us();
	if (policy_parse(&a, buf_slice(&text), &policy, problems))
		abort();
	printf("%4d rules: read                            %10.1f ms\n", rules, ms_since(start));
	start = clock_now_us();
	if (compiler_new(policy, &world, &c))
		abort();
	for (size_t i = 0; i < MACHINES; i++)
		compiler_filter(c, &a, i, &filter);
	printf("%4d rules: compile for %d machines       %10.1f ms\n", rules, MACHINES,
	       ms_since(start));
	start = clock_now_us();
	for (size_t i = 0; i < MACHINES; i++)
		for (size_t j = 0; j < MACHINES; j++)
			seen += compiler_sees(c, i, j);
	printf("%4d rules: who sees whom, all pairs        %10.1f ms, %zu%%\n", rules,
	       ms_since(start), seen * 100 / MACHINES / MACHINES);
	start = clock_now_us();
	for (size_t i = 0; i < QUESTIONS; i++) {
		const struct access_machine *from = &machines[i * 7 % MACHINES];
		const struct access_machine *to = &machines[i * 13 % MACHINES];
		struct question q = { .from = subject_of(from, from->addresses[0]),
				      .to = subject_of(to, to->addresses[0]),
				      .protocol = 6,
				      .port = 443 };

		allowed += decide(policy, &world, &q).is_allowed;
	}
	printf("%4d rules: one question                    %10.2f us\n", rules,
	       ms_since(start) * 1000 / QUESTIONS);
	if (allowed == 0)
		abort();
	compiler_free(c);
	buf_done(&text);
	arena_done(&a);
	memory_free(problems);
}

int main(void)
{
	make_world();
	measure(20);
	measure(200);
	return 0;
}

/* Private to compile.c and compile_machine.c. */
#ifndef ACCESS_COMPILE_PARTS_H
#define ACCESS_COMPILE_PARTS_H

#include "access/compile.h"
#include "base/map.h"

enum {
	COMPILE_ICMP = 1, /* stands for that of both families */
	COMPILE_TCP = 6,
	COMPILE_UDP = 17,
	COMPILE_ICMPV6 = 58,
};

struct interval_list {
	const uint32_t *items;
	size_t count;
};

struct compiler {
	struct arena arena;
	const struct policy *policy;
	const struct access_world *world;
	const struct ip *starts; /* of the intervals of sources, IPv4 first */
	size_t interval_count, words;
	struct subject *subjects;	/* whom each interval stands for */
	struct interval_list *machines; /* where each one sends from */
	struct map principal_sets;
	const uint64_t **rule_sets;
	uint64_t **reach;	 /* by machine, once it was compiled */
	struct slice granted;	 /* the capability of the sets */
	uint64_t **granted_sets; /* by machine: who has it there; NULL: not asked yet */
	size_t set_bytes;
	uint64_t steps;
	bool is_exceeded;
	uint8_t protocols[COMPILE_PROTOCOLS_MAX];
	size_t protocol_count;
};

static inline bool set_has(const uint64_t *set, size_t bit)
{
	return set[bit / 64] >> (bit % 64) & 1;
}

/* Where a range begins and what stands behind it; sorted, each once; returns how many. */
void edges_add(struct buf *edges, const struct ip_range *r);
size_t edges_sort(struct buf *edges);

size_t compiler_interval(const struct compiler *c, struct ip ip);

/* Who reaches anything on the machine. */
const uint64_t *compiler_reach(struct compiler *c, size_t index);

#endif

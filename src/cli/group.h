/* What is known of one group, gathered from DescribeGroups, ConsumerGroupDescribe or
 * ShareGroupDescribe, OffsetFetch or DescribeShareGroupOffsets, ListOffsets and the assignments of
 * its members. */
#ifndef CLI_GROUP_H
#define CLI_GROUP_H

#include "cli/assignment.h"
#include "cli/broker.h"

/* A partition that the group has committed an offset for, or that a member reads. */
struct group_partition {
	struct slice topic;
	int32_t partition;
	int64_t committed; /* -1: nothing */
	int64_t next;	   /* of the partition; -1: not known */
	struct slice member_id;
	bool has_told_lag; /* by the broker: of share groups, which do not read in order */
	int64_t told_lag;
};

struct group {
	struct kafka_describe_groups_response_group described;
	struct assignment *assignments;	    /* one a member */
	struct group_partition *partitions; /* ordered by topic and partition */
	size_t partitions_count;
	bool is_share;
};

/* All of it lives in the broker's arena.  Says itself what failed; COMMAND_NOT_FOUND. */
MUST_CHECK enum command_status group_ask(struct broker *b, const char *name, struct group *ret);

/* The description and the assignments of a group of the consumer protocol. */
MUST_CHECK enum command_status group_ask_consumers(struct broker *b, const char *what,
						   const char *name, struct group *ret);

/* The same of a share group, if it is one: then ret->is_share is set. */
MUST_CHECK enum command_status group_ask_shares(struct broker *b, const char *name,
						struct group *ret);
MUST_CHECK enum command_status group_ask_share_offsets(struct broker *b, const char *what,
						       const char *name,
						       struct group_partition **ret,
						       size_t *ret_count);

/* All groups there are, ordered by name; every broker is asked. */
MUST_CHECK enum command_status group_ask_all(struct broker *b,
					     struct kafka_list_groups_response *ret);

/* How many records the group has not read; -1: not known. */
int64_t group_partition_lag(const struct group_partition *p);

/* Of all partitions whose lag is known; -1: there are none. */
int64_t group_lag(const struct group *g);

/* Order by topic and partition, and make one of those that are about the same; returns how many
 * are left. */
size_t group_merge(struct group_partition *partitions, size_t count);

#endif

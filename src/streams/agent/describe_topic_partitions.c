/* DescribeTopicPartitions: topics by name, page by page.  A page ends after so many partitions, and
 * its cursor names the one that comes next. */
#include <stdlib.h>

#include "kafka_messages.h"
#include "streams/agent/brokers.h"
#include "streams/agent/operations.h"
#include "streams/agent/synced.h"
#include "wire/kafka/authorized.h"
#include "wire/kafka/errors.h"

enum {
	PAGE_PARTITIONS_MAX = 2000, /* Kafka's max.request.partition.size.limit */
	TOPICS_MAX = 10000,
};

struct page {
	struct request *r;
	const struct kafka_describe_topic_partitions_request *request;
	struct kafka_describe_topic_partitions_response response;
	struct brokers brokers;
	struct slice *names; /* asked for, in order */
	size_t name_count;
	size_t left; /* partitions the page may have */
};

static int compare_names(const void *a, const void *b)
{
	return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

/* Those from the cursor on, each once. */
static enum err find_names(struct page *p)
{
	const struct kafka_describe_topic_partitions_request *request = p->request;
	struct catalog_topic *topics = NULL;
	size_t count = request->topics_count, kept = 0;
	enum err err = OK;

	if (count == 0)
		err = catalog_topics(&p->r->arena, replica_cell(p->r->agent->replica), &topics,
				     &count);
	if (err)
		return err;
	p->names = arena_take_array(&p->r->arena, count, sizeof(*p->names));
	for (size_t i = 0; i < count; i++)
		if (!topics)
			p->names[kept++] = request->topics[i].name;
		else if (request_sees(p->r, GRANT_TOPIC, topics[i].name))
			p->names[kept++] = topics[i].name;
	count = kept;
	kept = 0;
	qsort(p->names, count, sizeof(*p->names), compare_names);
	for (size_t i = 0; i < count; i++) {
		if (kept > 0 && slice_equal(p->names[kept - 1], p->names[i]))
			continue;
		if (request->cursor && slice_compare(p->names[i], request->cursor->topic_name) < 0)
			continue;
		p->names[kept++] = p->names[i];
	}
	p->name_count = kept;
	return OK;
}

static void set_cursor(struct page *p, struct slice name, int32_t partition)
{
	struct kafka_describe_topic_partitions_response_cursor *cursor =
		arena_take(&p->r->arena, sizeof(*cursor));

	cursor->topic_name = name;
	cursor->partition_index = partition;
	p->response.next_cursor = cursor;
}

static void fill_partitions(struct page *p, const struct catalog_topic *topic, int32_t first,
			    struct kafka_describe_topic_partitions_response_topic *ret)
{
	struct brokers *b = &p->brokers;
	size_t count = (size_t)(topic->partition_count - first);

	if (count > p->left) {
		count = p->left;
		set_cursor(p, topic->name, first + (int32_t)count);
	}
	p->left -= count;
	ret->partitions = arena_take_array(&p->r->arena, count, sizeof(*ret->partitions));
	ret->partitions_count = count;
	for (size_t i = 0; i < count; i++) {
		const struct catalog_agent *leader =
			brokers_leader(b, &topic->topic_id, first + (int32_t)i);
		int32_t *nodes = brokers_replicas(p->r, b, leader);
		ret->partitions[i] = (struct kafka_describe_topic_partitions_response_partition) {
			.partition_index = first + (int32_t)i,
			.leader_id = leader->node_id,
			.replica_nodes = nodes,
			.replica_nodes_count = b->replica_count,
			.isr_nodes = nodes,
			.isr_nodes_count = b->replica_count,
			.eligible_leader_replicas = nodes,
			.last_known_elr = nodes,
			.offline_replicas = nodes,
		};
	}
}

static void fill_topic(struct page *p, struct slice name)
{
	const struct kafka_describe_topic_partitions_request *request = p->request;
	struct kafka_describe_topic_partitions_response_topic *ret =
		&p->response.topics[p->response.topics_count++];
	struct catalog_topic topic;
	int32_t first = 0;

	*ret = (struct kafka_describe_topic_partitions_response_topic) {
		.name = name,
		.topic_authorized_operations = INT32_MIN,
		.partitions = arena_take(&p->r->arena, sizeof(*ret->partitions)),
	};
	if (!catalog_topic_name_is_valid(name)) {
		ret->error_code = KAFKA_INVALID_TOPIC_EXCEPTION;
		return;
	}
	if (!request_may(p->r, GRANT_DESCRIBE, GRANT_TOPIC, name)) {
		ret->error_code = KAFKA_TOPIC_AUTHORIZATION_FAILED;
		return;
	}
	if (catalog_topic_by_name(&p->r->arena, replica_cell(p->r->agent->replica), name, &topic)) {
		ret->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
		return;
	}
	ret->topic_id = topic.topic_id;
	ret->topic_authorized_operations =
		request_operations(p->r, KAFKA_MAY_WITH_TOPIC, GRANT_TOPIC, topic.name);
	if (request->cursor && slice_equal(request->cursor->topic_name, name))
		first = request->cursor->partition_index;
	if (first < topic.partition_count)
		fill_partitions(p, &topic, first, ret);
}

static enum step describe_topic_partitions_answer(struct request *r, const void *decoded,
						  bool is_current)
{
	struct page p = { .r = r, .request = decoded, .left = PAGE_PARTITIONS_MAX };
	int32_t limit = p.request->response_partition_limit;

	if (p.request->topics_count > TOPICS_MAX)
		return request_refuse(r, "DescribeTopicPartitions asks for %zu topics",
				      p.request->topics_count);
	if (!is_current)
		return request_refuse(r, "DescribeTopicPartitions: %s", SYNCED_TOO_LATE);
	if (limit < 1 || (p.request->cursor && p.request->cursor->partition_index < 0))
		return request_refuse(r, "DescribeTopicPartitions from no possible place on");
	schema_defaults(r->api->response, &p.response);
	if ((size_t)limit < p.left)
		p.left = (size_t)limit;
	enum err err = find_names(&p);
	if (!err)
		err = brokers_find(r, &p.brokers);
	if (err)
		return request_refuse(r, "the catalog cannot be read: %s", err_name(err));
	p.response.topics = arena_take_array(&r->arena, p.name_count, sizeof(*p.response.topics));
	for (size_t i = 0; i < p.name_count && !p.response.next_cursor; i++) {
		if (p.left == 0)
			set_cursor(&p, p.names[i], 0);
		else
			fill_topic(&p, p.names[i]);
	}
	return request_answer(r, &p.response);
}

static enum step describe_topic_partitions_step(struct request *r)
{
	return synced_step(r, describe_topic_partitions_answer);
}

const struct operation describe_topic_partitions_operation = {
	.api_key = KAFKA_API_DESCRIBE_TOPIC_PARTITIONS,
	.may_overlap = true,
	.state_bytes = sizeof(struct synced),
	.places = synced_places,
	.place_count = SYNCED_PLACES,
	.step = describe_topic_partitions_step,
};

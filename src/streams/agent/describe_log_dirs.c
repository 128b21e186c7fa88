/* DescribeLogDirs: the bucket is the one directory there is, the same at every agent, with what the
 * catalog says of the sizes of partitions.  How large the bucket may become nobody knows. */
#include "kafka_messages.h"
#include "streams/agent/operations.h"
#include "streams/agent/synced.h"
#include "streams/catalog/catalog.h"
#include "wire/kafka/errors.h"

enum { LOG_DIR_PARTITIONS_MAX = 1000000, SIZE_UNKNOWN = -1 };

struct log_dir {
	struct request *r;
	struct kafka_describe_log_dirs_response_result result;
	size_t partition_count;
};

static void add_partition(struct log_dir *d, const struct catalog_topic *topic, int32_t number,
			  struct kafka_describe_log_dirs_response_topic *ret)
{
	struct catalog_partition found;

	if (catalog_partition_find(replica_cell(d->r->agent->replica), topic->id, number, &found))
		return; /* a directory has what it has */
	ret->partitions[ret->partitions_count++] =
		(struct kafka_describe_log_dirs_response_partition) {
			.partition_index = number,
			.partition_size = found.bytes,
		};
	d->partition_count++;
}

static void fill_all(struct log_dir *d, const struct catalog_topic *topic)
{
	struct kafka_describe_log_dirs_response_topic *ret =
		&d->result.topics[d->result.topics_count++];

	ret->name = topic->name;
	ret->partitions = arena_take_array(&d->r->arena, (size_t)topic->partition_count,
					   sizeof(*ret->partitions));
	for (int32_t i = 0; i < topic->partition_count; i++)
		add_partition(d, topic, i, ret);
}

static enum err add_all(struct log_dir *d)
{
	struct catalog_topic *topics;
	size_t count, partition_count = 0;
	enum err err =
		catalog_topics(&d->r->arena, replica_cell(d->r->agent->replica), &topics, &count);

	if (err)
		return err;
	for (size_t i = 0; i < count; i++)
		partition_count += (size_t)topics[i].partition_count;
	if (partition_count > LOG_DIR_PARTITIONS_MAX)
		return ERR_TOO_BIG;
	d->result.topics = arena_take_array(&d->r->arena, count, sizeof(*d->result.topics));
	for (size_t i = 0; i < count; i++)
		fill_all(d, &topics[i]);
	return OK;
}

static enum err add_asked(struct log_dir *d, const struct kafka_describe_log_dirs_request *request)
{
	struct catalog_topic topic;
	size_t count = 0;

	for (size_t i = 0; i < request->topics_count; i++)
		count += request->topics[i].partitions_count;
	if (count > LOG_DIR_PARTITIONS_MAX)
		return ERR_TOO_BIG;
	d->result.topics =
		arena_take_array(&d->r->arena, request->topics_count, sizeof(*d->result.topics));
	for (size_t i = 0; i < request->topics_count; i++) {
		const struct kafka_describe_log_dirs_request_topic *asked = &request->topics[i];
		if (catalog_topic_by_name(&d->r->arena, replica_cell(d->r->agent->replica),
					  asked->topic, &topic))
			continue;
		struct kafka_describe_log_dirs_response_topic *ret =
			&d->result.topics[d->result.topics_count++];
		ret->name = topic.name;
		ret->partitions = arena_take_array(&d->r->arena, asked->partitions_count,
						   sizeof(*ret->partitions));
		for (size_t k = 0; k < asked->partitions_count; k++)
			add_partition(d, &topic, asked->partitions[k], ret);
	}
	return OK;
}

static enum step describe_log_dirs_answer(struct request *r, const void *decoded, bool is_current)
{
	const struct kafka_describe_log_dirs_request *request = decoded;
	struct kafka_describe_log_dirs_response response;
	struct log_dir d = { .r = r };

	schema_defaults(r->api->response, &response);
	d.result.log_dir = slice_from(r->agent->config.bucket->url);
	d.result.total_bytes = d.result.usable_bytes = SIZE_UNKNOWN;
	if (!request_may(r, GRANT_DESCRIBE, GRANT_CLUSTER, GRANT_CLUSTER_NAME)) {
		response.error_code = KAFKA_CLUSTER_AUTHORIZATION_FAILED;
		return request_answer(r, &response);
	}
	if (!is_current) {
		response.error_code = KAFKA_REQUEST_TIMED_OUT;
		d.result.error_code = KAFKA_REQUEST_TIMED_OUT;
	} else {
		enum err err = request->topics ? add_asked(&d, request) : add_all(&d);
		if (err == ERR_TOO_BIG)
			return request_refuse(r, "DescribeLogDirs is about more than %d partitions",
					      LOG_DIR_PARTITIONS_MAX);
		if (err)
			d.result.error_code = KAFKA_KAFKA_STORAGE_ERROR;
	}
	response.results = &d.result;
	response.results_count = 1;
	return request_answer(r, &response);
}

static enum step describe_log_dirs_step(struct request *r)
{
	return synced_step(r, describe_log_dirs_answer);
}

const struct operation describe_log_dirs_operation = {
	.api_key = KAFKA_API_DESCRIBE_LOG_DIRS,
	.may_overlap = true,
	.state_bytes = sizeof(struct synced),
	.places = synced_places,
	.place_count = SYNCED_PLACES,
	.step = describe_log_dirs_step,
};

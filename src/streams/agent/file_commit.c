#include "streams/agent/file_commit.h"

#include <string.h>

static bool is_same_partition(const struct data_file_entry *a, const struct data_file_entry *b)
{
	return a->partition == b->partition &&
	       memcmp(a->topic_id, b->topic_id, sizeof(a->topic_id)) == 0;
}

static void describe_batch(const struct data_file_entry *e,
			   const struct file_transaction *transaction,
			   struct peer_commit_file_request_batch *ret)
{
	*ret = (struct peer_commit_file_request_batch) {
		.size = (int32_t)e->size,
		.record_count = e->record_count,
		.last_offset_delta = e->last_offset_delta,
		.base_timestamp = e->base_timestamp,
		.max_timestamp = e->max_timestamp,
		.producer_id = e->producer_id,
		.producer_epoch = e->producer_epoch,
		.base_sequence = e->base_sequence,
		.attributes = (int16_t)e->attributes,
		.crc = e->crc,
		.transactional_id = transaction->transactional_id,
		.transaction_support = (int8_t)transaction->support,
	};
}

void file_commit_describe(struct arena *a, const struct data_file_writer *data,
			  const struct file_transaction *transactions,
			  struct peer_commit_file_request *ret)
{
	const struct data_file_entry *entries = data->entries;
	size_t count = data->batch_count;
	struct peer_commit_file_request_batch *batches =
		arena_take_array(a, count, sizeof(*batches));

	ret->runs = arena_take_array(a, count, sizeof(*ret->runs));
	for (size_t i = 0; i < count; i++) {
		if (i == 0 || !is_same_partition(&entries[i - 1], &entries[i])) {
			struct peer_commit_file_request_run *run = &ret->runs[ret->runs_count++];
			memcpy(run->topic_id.bytes, entries[i].topic_id,
			       sizeof(run->topic_id.bytes));
			run->partition = (int32_t)entries[i].partition;
			run->file_offset = (int64_t)entries[i].offset;
			run->batches = &batches[i];
		}
		describe_batch(&entries[i], &transactions[entries[i].arrival], &batches[i]);
		ret->runs[ret->runs_count - 1].batches_count++;
	}
}

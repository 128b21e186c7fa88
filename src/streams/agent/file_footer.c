#include "streams/agent/file_footer.h"

#include "streams/catalog/catalog.h"

static bool is_same_topic(const struct data_file_entry *a, const struct data_file_entry *b)
{
	return memcmp(a->topic_id, b->topic_id, sizeof(a->topic_id)) == 0;
}

/* ERR_NOT_FOUND: deleted meanwhile. */
static enum err name_topic(struct cell *cell, struct data_file_writer *w,
			   const struct data_file_entry *entry, int64_t *ret_row)
{
	struct catalog_topic topic;
	struct uuid topic_id;
	struct arena a;

	arena_init(&a);
	memcpy(topic_id.bytes, entry->topic_id, sizeof(topic_id.bytes));
	enum err err = catalog_topic_by_id(&a, cell, &topic_id, &topic);
	if (!err) {
		struct data_file_topic name = {
			.partition_count = (uint32_t)topic.partition_count,
			.name = topic.name,
		};
		memcpy(name.topic_id, entry->topic_id, sizeof(name.topic_id));
		*ret_row = topic.id;
		(void)!data_file_writer_name(w, &name); /* other files name it */
	}
	arena_done(&a);
	return err;
}

static int64_t high_watermark(struct cell *cell, int64_t topic, uint32_t number)
{
	struct catalog_partition partition;

	if (topic == 0 || number > INT32_MAX ||
	    catalog_partition_find(cell, topic, (int32_t)number, &partition))
		return -1;
	return partition.high_watermark;
}

void file_footer_tell(struct cell *cell, struct data_file_writer *w)
{
	int64_t topic = 0, offset = -1; /* 0: not known */

	for (size_t i = 0; cell && i < w->batch_count; i++) {
		struct data_file_entry *entry = &w->entries[i];
		bool is_new_topic = i == 0 || !is_same_topic(entry - 1, entry);

		if (is_new_topic && name_topic(cell, w, entry, &topic))
			topic = 0;
		if (is_new_topic || entry[-1].partition != entry->partition)
			offset = high_watermark(cell, topic, entry->partition);
		if (entry->base_offset < 0)
			entry->base_offset = offset;
	}
}

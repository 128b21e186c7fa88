#include "cli/assignment.h"

#include "base/endian.h"

enum { TOPIC_BYTES_MIN = 6, PARTITION_BYTES = 4 };

static enum err read_i16(struct slice *in, int *ret)
{
	if (in->size < 2)
		return ERR_INVALID;
	*ret = (int16_t)get_u16(in->data);
	*in = slice_part(*in, 2, in->size);
	return OK;
}

/* How many of at least `bytes_min` follow; never more than fit. */
static enum err read_count(struct slice *in, size_t bytes_min, size_t *ret)
{
	if (in->size < 4)
		return ERR_INVALID;
	uint32_t count = get_u32(in->data);
	if (count > (in->size - 4) / bytes_min)
		return ERR_INVALID;
	*in = slice_part(*in, 4, in->size);
	*ret = count;
	return OK;
}

static enum err read_topic(struct arena *a, struct slice *in, struct assignment_topic *ret)
{
	int size;

	if (read_i16(in, &size) || size < 0 || (size_t)size > in->size)
		return ERR_INVALID;
	ret->name = slice_part(*in, 0, (size_t)size);
	*in = slice_part(*in, (size_t)size, in->size);
	enum err err = read_count(in, PARTITION_BYTES, &ret->partitions_count);
	if (err)
		return err;
	ret->partitions = arena_take_array(a, ret->partitions_count, sizeof(int32_t));
	for (size_t i = 0; i < ret->partitions_count; i++)
		ret->partitions[i] = (int32_t)get_u32(in->data + i * PARTITION_BYTES);
	*in = slice_part(*in, ret->partitions_count * PARTITION_BYTES, in->size);
	return OK;
}

enum err assignment_decode(struct arena *a, struct slice in, struct assignment *ret)
{
	struct assignment assignment = { 0 };
	int version;

	if (in.size == 0) {
		*ret = assignment;
		return OK;
	}
	if (read_i16(&in, &version) || version < 0 ||
	    read_count(&in, TOPIC_BYTES_MIN, &assignment.topics_count))
		return ERR_INVALID;
	assignment.topics =
		arena_take_array(a, assignment.topics_count, sizeof(*assignment.topics));
	for (size_t i = 0; i < assignment.topics_count; i++) {
		enum err err = read_topic(a, &in, &assignment.topics[i]);
		if (err)
			return err;
		assignment.partitions_count += assignment.topics[i].partitions_count;
	}
	*ret = assignment;
	return OK;
}

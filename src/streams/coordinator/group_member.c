#include "streams/coordinator/group_member.h"

#include "base/endian.h"
#include "base/memory.h"

void group_disown(struct slice *owned)
{
	memory_free((void *)(uintptr_t)owned->data);
	*owned = (struct slice) { 0 };
}

void group_own(struct slice *owned, struct slice value)
{
	uint8_t *copy = NULL;

	if (value.data) {
		copy = memory_take(value.size);
		if (value.size > 0)
			memcpy(copy, value.data, value.size);
	}
	group_disown(owned);
	*owned = (struct slice) { copy, value.size };
}

struct group_member *group_member_new(struct slice member_id, struct slice instance_id)
{
	struct group_member *m = NEW(struct group_member);

	group_own(&m->member_id, member_id);
	group_own(&m->instance_id, instance_id);
	return m;
}

void group_member_free(struct group_member *m)
{
	group_disown(&m->member_id);
	group_disown(&m->instance_id);
	group_disown(&m->client_id);
	group_disown(&m->client_host);
	group_disown(&m->protocols);
	group_disown(&m->assignment);
	group_disown(&m->rack_id);
	group_disown(&m->topics);
	group_disown(&m->pattern);
	group_disown(&m->assignor);
	partition_set_done(&m->assigned);
	partition_set_done(&m->revoking);
	partition_set_done(&m->target);
	memory_free(m);
}

/* --- lists ------------------------------------------------------------------------------------
 */

void group_protocol_add(struct buf *out, struct slice name, struct slice metadata)
{
	buf_add_u16(out, (uint16_t)name.size);
	buf_add_slice(out, name);
	buf_add_u32(out, (uint32_t)metadata.size);
	buf_add_slice(out, metadata);
}

static bool take(struct slice *in, size_t size, struct slice *ret)
{
	if (in->size < size)
		return false;
	*ret = slice_part(*in, 0, size);
	*in = slice_part(*in, size, in->size - size);
	return true;
}

void group_word_add(struct buf *out, struct slice word)
{
	buf_add_u16(out, (uint16_t)word.size);
	buf_add_slice(out, word);
}

bool group_word_next(struct slice *in, struct slice *ret)
{
	struct slice rest = *in, size;

	if (!take(&rest, 2, &size) || !take(&rest, get_u16(size.data), ret))
		return false;
	*in = rest;
	return true;
}

bool group_words_are_sound(struct slice words)
{
	struct slice word;

	while (group_word_next(&words, &word))
		continue;
	return words.size == 0;
}

bool group_protocol_next(struct slice *in, struct group_protocol *ret)
{
	struct slice rest = *in;
	struct slice size, name, metadata;

	if (!take(&rest, 2, &size) || !take(&rest, get_u16(size.data), &name))
		return false;
	if (!take(&rest, 4, &size) || !take(&rest, get_u32(size.data), &metadata))
		return false;
	*in = rest;
	*ret = (struct group_protocol) { name, metadata };
	return true;
}

bool group_protocols_are_sound(struct slice protocols)
{
	struct group_protocol protocol;

	while (group_protocol_next(&protocols, &protocol))
		continue;
	return protocols.size == 0;
}

bool group_protocol_find(struct slice protocols, struct slice name, struct group_protocol *ret)
{
	struct group_protocol protocol;

	while (group_protocol_next(&protocols, &protocol)) {
		if (!slice_equal(protocol.name, name))
			continue;
		if (ret)
			*ret = protocol;
		return true;
	}
	return false;
}

/* The interpreter of the message tables.
 *
 * Forms on the wire; integers are big-endian, "compact" is what flexible versions use:
 *
 *   bool, intN, uintN, float64  1 to 8 bytes          uuid  16 bytes
 *   string     int16 length, bytes;  -1 is null       compact: varint length + 1;  0 is null
 *   bytes      int32 length, bytes;  -1 is null       compact: varint length + 1;  0 is null
 *   array      int32 count, elements; -1 is null      compact: varint count + 1;   0 is null
 *   {} or null int8, struct; -1 is null, then there is nothing behind it
 *   struct     its fields in order; in flexible versions then its tagged fields:
 *              varint count, and for each, ascending: varint tag, varint size, value
 *
 * A tagged field with its default value is not written. */
#include "wire/kafka/schema.h"

#include <assert.h>
#include <stdlib.h>

#include "base/endian.h"
#include "base/uuid.h"

static bool in_version(const struct schema_field *f, int version)
{
	return version >= f->version_first && version <= f->version_last;
}

static bool is_flexible(const struct schema *s, int version)
{
	return version >= s->flexible_first;
}

static size_t element_bytes(const struct schema_field *f)
{
	switch (f->kind) {
	case SCHEMA_BOOL:
		return sizeof(bool);
	case SCHEMA_INT8:
		return 1;
	case SCHEMA_INT16:
	case SCHEMA_UINT16:
		return 2;
	case SCHEMA_INT32:
	case SCHEMA_UINT32:
		return 4;
	case SCHEMA_INT64:
	case SCHEMA_FLOAT64:
		return 8;
	case SCHEMA_UUID:
		return sizeof(struct uuid);
	case SCHEMA_STRING:
	case SCHEMA_BYTES:
		return sizeof(struct slice);
	case SCHEMA_STRUCT:
		return f->child->struct_bytes;
	}
	abort();
}

/* --- integers of a width found at run time ------------------------------------------------- */

/* The wire's integer of `size` bytes; sign and type do not matter for copying. */
static uint64_t wire_load(const uint8_t *p, size_t size)
{
	switch (size) {
	case 1:
		return *p;
	case 2:
		return get_u16(p);
	case 4:
		return get_u32(p);
	default:
		return get_u64(p);
	}
}

static void member_store(uint8_t *p, size_t size, uint64_t value)
{
	_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "low bytes come first");
	memcpy(p, &value, size);
}

static uint64_t member_load(const uint8_t *p, size_t size)
{
	uint64_t value = 0;

	memcpy(&value, p, size);
	return value;
}

static void wire_store(uint8_t *p, size_t size, uint64_t value)
{
	switch (size) {
	case 1:
		*p = (uint8_t)value;
		break;
	case 2:
		put_u16(p, (uint16_t)value);
		break;
	case 4:
		put_u32(p, (uint32_t)value);
		break;
	default:
		put_u64(p, value);
		break;
	}
}

static void wire_add(struct buf *out, size_t size, uint64_t value)
{
	wire_store(buf_reserve(out, size), size, value);
	out->size += size;
}

/* --- unsigned varints ------------------------------------------------------------------------ */

enum err schema_varint_decode(struct slice *in, uint32_t *ret)
{
	uint64_t value = 0;

	for (size_t i = 0; i < in->size && i < 5; i++) {
		value |= (uint64_t)(in->data[i] & 0x7f) << (7 * i);
		if (in->data[i] & 0x80)
			continue;
		if (value > UINT32_MAX)
			return ERR_INVALID;
		*in = slice_part(*in, i + 1, in->size);
		*ret = (uint32_t)value;
		return OK;
	}
	return ERR_INVALID;
}

void schema_varint_encode(struct buf *out, uint32_t value)
{
	for (; value >= 0x80; value >>= 7)
		buf_add_u8(out, (uint8_t)(value | 0x80));
	buf_add_u8(out, (uint8_t)value);
}

static size_t varint_bytes(uint32_t value)
{
	size_t size = 1;

	for (; value >= 0x80; value >>= 7)
		size++;
	return size;
}

/* --- decoding ----------------------------------------------------------------------------------
 */

struct decoder {
	struct arena *arena;
	size_t arena_used; /* when we began */
	struct slice in;
	int version;
	int depth;
};

static enum err decode_struct(struct decoder *d, const struct schema *s, uint8_t *ret);

static void consume(struct decoder *d, size_t size)
{
	d->in.data += size;
	d->in.size -= size;
}

/* A length or a count: the value, or -1 for null.  `size` is the width of the plain form. */
static enum err decode_length(struct decoder *d, bool is_compact, size_t size, int64_t *ret)
{
	if (is_compact) {
		uint32_t length_plus_1;
		enum err err = schema_varint_decode(&d->in, &length_plus_1);
		if (err)
			return err;
		*ret = (int64_t)length_plus_1 - 1;
		return OK;
	}
	if (d->in.size < size)
		return ERR_INVALID;
	int64_t length = size == 2 ? (int16_t)get_u16(d->in.data) : (int32_t)get_u32(d->in.data);
	if (length < -1)
		return ERR_INVALID;
	consume(d, size);
	*ret = length;
	return OK;
}

/* Strings and bytes: a view of the input. */
static enum err decode_slice(struct decoder *d, const struct schema_field *f, bool is_compact,
			     bool may_be_null, struct slice *ret)
{
	int64_t length;
	enum err err = decode_length(d, is_compact, f->kind == SCHEMA_STRING ? 2 : 4, &length);

	if (err)
		return err;
	if (length < 0) {
		*ret = (struct slice) { NULL, 0 };
		return may_be_null ? OK : ERR_INVALID;
	}
	if ((size_t)length > d->in.size)
		return ERR_INVALID;
	if (f->kind == SCHEMA_STRING && length > SCHEMA_STRING_BYTES_MAX)
		return ERR_TOO_BIG;
	*ret = slice_part(d->in, 0, (size_t)length);
	consume(d, (size_t)length);
	return OK;
}

/* One value that is not an array. */
static enum err decode_value(struct decoder *d, const struct schema_field *f, bool is_compact,
			     bool may_be_null, uint8_t *ret)
{
	size_t size = element_bytes(f);

	if (f->kind == SCHEMA_STRUCT)
		return decode_struct(d, f->child, ret);
	if (f->kind == SCHEMA_STRING || f->kind == SCHEMA_BYTES)
		return decode_slice(d, f, is_compact, may_be_null, (struct slice *)(void *)ret);
	if (d->in.size < size)
		return ERR_INVALID;
	if (f->kind == SCHEMA_UUID)
		memcpy(ret, d->in.data, size);
	else if (f->kind == SCHEMA_BOOL)
		member_store(ret, size, d->in.data[0] != 0);
	else
		member_store(ret, size, wire_load(d->in.data, size));
	consume(d, size);
	return OK;
}

static bool is_nullable_struct(const struct schema_field *f)
{
	return f->kind == SCHEMA_STRUCT && !f->is_array && f->null_first != SCHEMA_VERSION_NEVER;
}

static size_t struct_wire_bytes_min(const struct schema *s, int version);

/* The fewest bytes a value takes on the wire, to refuse counts that the input cannot hold. */
static size_t wire_bytes_min(const struct schema_field *f, bool is_array, bool is_compact,
			     int version)
{
	if (is_array)
		return is_compact ? 1 : 4;
	if (is_nullable_struct(f))
		return 1;
	if (f->kind == SCHEMA_STRUCT)
		return struct_wire_bytes_min(f->child, version);
	if (f->kind == SCHEMA_STRING)
		return is_compact ? 1 : 2;
	if (f->kind == SCHEMA_BYTES)
		return is_compact ? 1 : 4;
	return element_bytes(f);
}

static size_t struct_wire_bytes_min(const struct schema *s, int version)
{
	size_t size = is_flexible(s, version) ? 1 : 0;

	for (size_t i = 0; i < s->field_count; i++) {
		const struct schema_field *f = &s->fields[i];
		if (in_version(f, version) && f->tag == SCHEMA_TAG_NONE)
			size += wire_bytes_min(f, f->is_array, is_flexible(s, version), version);
	}
	return size;
}

static bool is_integer(const struct schema_field *f)
{
	return f->kind > SCHEMA_BOOL && f->kind <= SCHEMA_FLOAT64;
}

/* Elements of an array, whose count was checked. */
static enum err decode_elements(struct decoder *d, const struct schema_field *f, bool is_compact,
				size_t count, uint8_t *ret)
{
	size_t size = element_bytes(f);

	if (is_integer(f)) {
		for (size_t i = 0; i < count; i++)
			member_store(ret + i * size, size, wire_load(d->in.data + i * size, size));
		consume(d, count * size);
		return OK;
	}
	for (size_t i = 0; i < count; i++) {
		enum err err = decode_value(d, f, is_compact, false, ret + i * size);
		if (err)
			return err;
	}
	return OK;
}

/* An array that is empty but not null points here. */
static uint64_t empty_array[2];

static enum err decode_array(struct decoder *d, const struct schema_field *f, bool is_compact,
			     bool may_be_null, uint8_t *ret)
{
	int64_t length;
	enum err err = decode_length(d, is_compact, 4, &length);

	if (err)
		return err;
	if (length < 0)
		return may_be_null ? OK : ERR_INVALID;

	size_t count = (size_t)length;
	size_t size_min = wire_bytes_min(f, false, is_compact, d->version);
	if (count > 0 && (size_min == 0 || count > d->in.size / size_min))
		return ERR_INVALID;
	size_t size = element_bytes(f);
	size_t used = d->arena->used - d->arena_used;
	if (count > SCHEMA_ARRAY_COUNT_MAX || count * size > SCHEMA_ARENA_BYTES_MAX - used)
		return ERR_TOO_BIG;

	uint8_t *elements = (uint8_t *)empty_array;
	if (count > 0)
		elements = arena_take_array(d->arena, count, size);
	err = decode_elements(d, f, is_compact, count, elements);
	if (err)
		return err;
	*(void **)(void *)(ret + f->offset) = elements;
	*(size_t *)(void *)(ret + f->count_offset) = count;
	return OK;
}

static enum err decode_nullable_struct(struct decoder *d, const struct schema_field *f,
				       uint8_t *ret)
{
	size_t used = d->arena->used - d->arena_used;

	if (d->in.size < 1)
		return ERR_INVALID;
	bool is_null = (int8_t)d->in.data[0] < 0;
	consume(d, 1);
	if (is_null)
		return OK;
	if (f->child->struct_bytes > SCHEMA_ARENA_BYTES_MAX - used)
		return ERR_TOO_BIG;
	uint8_t *value = arena_take(d->arena, f->child->struct_bytes);
	enum err err = decode_struct(d, f->child, value);
	if (!err)
		*(void **)(void *)(ret + f->offset) = value;
	return err;
}

static enum err decode_field(struct decoder *d, const struct schema_field *f, bool is_compact,
			     uint8_t *ret)
{
	bool may_be_null = d->version >= f->null_first;

	if (f->is_array)
		return decode_array(d, f, is_compact, may_be_null, ret);
	if (is_nullable_struct(f))
		return decode_nullable_struct(d, f, ret);
	return decode_value(d, f, is_compact, may_be_null, ret + f->offset);
}

static const struct schema_field *find_tag(const struct schema *s, int version, uint32_t tag)
{
	for (size_t i = 0; i < s->field_count; i++) {
		const struct schema_field *f = &s->fields[i];
		if (f->tag != SCHEMA_TAG_NONE && (uint32_t)f->tag == tag && in_version(f, version))
			return f;
	}
	return NULL;
}

/* One tag and the bytes of its value. */
static enum err decode_tag(struct slice *in, uint32_t *ret_tag, struct slice *ret_value)
{
	uint32_t tag, size;
	enum err err = schema_varint_decode(in, &tag);

	if (!err)
		err = schema_varint_decode(in, &size);
	if (err)
		return err;
	if (size > in->size)
		return ERR_INVALID;
	*ret_tag = tag;
	*ret_value = slice_part(*in, 0, size);
	*in = slice_part(*in, size, in->size);
	return OK;
}

static enum err decode_tags(struct decoder *d, const struct schema *s, uint8_t *ret)
{
	uint32_t count;
	int64_t previous = -1;
	enum err err = schema_varint_decode(&d->in, &count);

	if (err)
		return err;
	if (count > SCHEMA_TAG_COUNT_MAX)
		return ERR_TOO_BIG;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t tag;
		struct slice value;

		err = decode_tag(&d->in, &tag, &value);
		if (err)
			return err;
		if (tag <= previous)
			return ERR_INVALID;
		previous = tag;
		const struct schema_field *f = s ? find_tag(s, d->version, tag) : NULL;
		if (!f)
			continue;
		struct slice after = d->in;
		d->in = value;
		err = decode_field(d, f, true, ret);
		if (err)
			return err;
		if (d->in.size > 0)
			return ERR_INVALID;
		d->in = after;
	}
	return OK;
}

static void set_default(const struct schema_field *f, uint8_t *ret)
{
	if (f->is_array) {
		*(void **)(void *)(ret + f->offset) = NULL;
		*(size_t *)(void *)(ret + f->count_offset) = 0;
	} else if (is_nullable_struct(f)) {
		*(void **)(void *)(ret + f->offset) = NULL;
	} else if (f->kind == SCHEMA_STRUCT) {
		schema_defaults(f->child, ret + f->offset);
	} else {
		memset(ret + f->offset, 0, element_bytes(f));
		if (f->value_default)
			member_store(ret + f->offset, element_bytes(f), (uint64_t)f->value_default);
	}
}

void schema_defaults(const struct schema *s, void *value)
{
	memset(value, 0, s->struct_bytes);
	for (size_t i = 0; i < s->field_count; i++)
		set_default(&s->fields[i], value);
}

static enum err decode_struct(struct decoder *d, const struct schema *s, uint8_t *ret)
{
	d->depth++;
	assert(d->depth <= SCHEMA_DEPTH_MAX);

	for (size_t i = 0; i < s->field_count; i++) {
		const struct schema_field *f = &s->fields[i];

		set_default(f, ret);
		if (f->tag != SCHEMA_TAG_NONE || !in_version(f, d->version))
			continue;
		enum err err = decode_field(d, f, is_flexible(s, d->version), ret);
		if (err)
			return err;
	}
	d->depth--;
	return is_flexible(s, d->version) ? decode_tags(d, s, ret) : OK;
}

enum err schema_decode(struct arena *a, const struct schema *s, int version, struct slice *in,
		       void *ret)
{
	assert(schema_has_version(s, version));

	struct decoder d = { .arena = a, .in = *in, .version = version };
	uint8_t *value = arena_take(a, s->struct_bytes);
	d.arena_used = a->used;
	if (!d.in.data)
		d.in.data = (const uint8_t *)"";

	enum err err = decode_struct(&d, s, value);
	if (err)
		return err;
	memcpy(ret, value, s->struct_bytes);
	*in = d.in;
	return OK;
}

enum err schema_decode_all(struct arena *a, const struct schema *s, int version, struct slice in,
			   void *ret)
{
	uint8_t *value = arena_take(a, s->struct_bytes);
	enum err err = schema_decode(a, s, version, &in, value);

	if (err)
		return err;
	if (in.size > 0)
		return ERR_INVALID;
	memcpy(ret, value, s->struct_bytes);
	return OK;
}

enum err schema_tags_skip(struct slice *in)
{
	struct decoder d = { .in = *in };
	enum err err = decode_tags(&d, NULL, NULL);

	if (err)
		return err;
	*in = d.in;
	return OK;
}

/* --- encoding ----------------------------------------------------------------------------------
 */

struct encoder {
	struct buf *out;
	struct schema_gap *gaps; /* what is left out goes here */
	size_t gap_count, gap_count_max;
	size_t gap_bytes_min;
};

static void encode_struct(const struct schema *s, int version, const uint8_t *value,
			  struct encoder *e);

/* A length or a count; -1 is null. */
static void encode_length(struct buf *out, bool is_compact, size_t size, int64_t length)
{
	assert(length >= -1 && length <= (size == 2 ? INT16_MAX : INT32_MAX));
	if (is_compact)
		schema_varint_encode(out, (uint32_t)(length + 1));
	else
		wire_add(out, size, (uint64_t)length);
}

static void encode_slice(const struct schema_field *f, bool is_compact, bool may_be_null,
			 struct slice s, struct encoder *e)
{
	size_t size = f->kind == SCHEMA_STRING ? 2 : 4;

	assert(s.data || s.size == 0);
	assert(s.size <= INT32_MAX);
	if (!s.data && may_be_null) {
		encode_length(e->out, is_compact, size, -1);
		return;
	}
	encode_length(e->out, is_compact, size, (int64_t)s.size);
	if (f->kind == SCHEMA_BYTES && e->gap_count < e->gap_count_max &&
	    s.size >= e->gap_bytes_min)
		e->gaps[e->gap_count++] = (struct schema_gap) { e->out->size, s };
	else
		buf_add_slice(e->out, s);
}

static void encode_value(const struct schema_field *f, int version, bool is_compact,
			 bool may_be_null, const uint8_t *value, struct encoder *e)
{
	size_t size = element_bytes(f);

	if (f->kind == SCHEMA_STRUCT)
		encode_struct(f->child, version, value, e);
	else if (f->kind == SCHEMA_STRING || f->kind == SCHEMA_BYTES)
		encode_slice(f, is_compact, may_be_null, *(const struct slice *)(const void *)value,
			     e);
	else if (f->kind == SCHEMA_UUID)
		buf_add(e->out, value, size);
	else
		wire_add(e->out, size, member_load(value, size));
}

static const uint8_t *array_of(const struct schema_field *f, const uint8_t *value, size_t *count)
{
	*count = *(const size_t *)(const void *)(value + f->count_offset);
	return *(const uint8_t *const *)(const void *)(value + f->offset);
}

static void encode_field(const struct schema_field *f, int version, bool is_compact,
			 const uint8_t *value, struct encoder *e)
{
	struct buf *out = e->out;
	bool may_be_null = version >= f->null_first;

	if (is_nullable_struct(f)) {
		const uint8_t *child = *(const uint8_t *const *)(const void *)(value + f->offset);
		wire_add(out, 1, child ? 1 : (uint64_t)-1);
		if (child)
			encode_struct(f->child, version, child, e);
		return;
	}
	if (!f->is_array) {
		encode_value(f, version, is_compact, may_be_null, value + f->offset, e);
		return;
	}
	size_t count;
	const uint8_t *elements = array_of(f, value, &count);
	assert(elements || count == 0);
	assert(count <= INT32_MAX);
	if (!elements && may_be_null) {
		encode_length(out, is_compact, 4, -1);
		return;
	}
	encode_length(out, is_compact, 4, (int64_t)count);
	size_t size = element_bytes(f);
	if (is_integer(f)) {
		uint8_t *p = buf_reserve(out, count * size);
		for (size_t i = 0; i < count; i++)
			wire_store(p + i * size, size, member_load(elements + i * size, size));
		out->size += count * size;
		return;
	}
	for (size_t i = 0; i < count; i++)
		encode_value(f, version, is_compact, false, elements + i * size, e);
}

static bool struct_is_default(const struct schema *s, const uint8_t *value);

static bool field_is_default(const struct schema_field *f, const uint8_t *value)
{
	if (f->is_array) {
		size_t count;
		const uint8_t *elements = array_of(f, value, &count);
		return f->null_first == SCHEMA_VERSION_NEVER ? count == 0 : !elements;
	}
	value += f->offset;
	if (is_nullable_struct(f))
		return !*(const void *const *)(const void *)value;
	if (f->kind == SCHEMA_STRUCT)
		return struct_is_default(f->child, value);
	if (f->kind == SCHEMA_UUID)
		return uuid_is_zero(*(const struct uuid *)(const void *)value);
	if (f->kind == SCHEMA_STRING || f->kind == SCHEMA_BYTES) {
		struct slice s = *(const struct slice *)(const void *)value;
		return f->null_first == SCHEMA_VERSION_NEVER ? s.size == 0 : !s.data;
	}
	uint64_t expected = 0;
	member_store((uint8_t *)&expected, element_bytes(f), (uint64_t)f->value_default);
	return member_load(value, element_bytes(f)) == expected;
}

static bool struct_is_default(const struct schema *s, const uint8_t *value)
{
	for (size_t i = 0; i < s->field_count; i++) {
		if (!field_is_default(&s->fields[i], value))
			return false;
	}
	return true;
}

/* The size of a tagged value stands before it and is known after it: write all of it, then move. */
static void encode_tag(const struct schema_field *f, int version, const uint8_t *value,
		       struct buf *out)
{
	struct encoder whole = { .out = out };

	schema_varint_encode(out, (uint32_t)f->tag);
	size_t start = out->size;
	encode_field(f, version, true, value, &whole);
	size_t size = out->size - start;
	assert(size <= INT32_MAX);
	size_t prefix = varint_bytes((uint32_t)size);
	buf_reserve(out, prefix);
	memmove(out->data + start + prefix, out->data + start, size);
	out->size = start;
	schema_varint_encode(out, (uint32_t)size);
	out->size += size;
}

static bool is_tag_to_write(const struct schema_field *f, int version, const uint8_t *value)
{
	return f->tag != SCHEMA_TAG_NONE && in_version(f, version) && !field_is_default(f, value);
}

static void encode_tags(const struct schema *s, int version, const uint8_t *value, struct buf *out)
{
	uint32_t count = 0;

	for (size_t i = 0; i < s->field_count; i++)
		count += is_tag_to_write(&s->fields[i], version, value);
	schema_varint_encode(out, count);
	for (size_t i = 0; i < s->field_count; i++) {
		if (is_tag_to_write(&s->fields[i], version, value))
			encode_tag(&s->fields[i], version, value, out);
	}
}

static void encode_struct(const struct schema *s, int version, const uint8_t *value,
			  struct encoder *e)
{
	for (size_t i = 0; i < s->field_count; i++) {
		const struct schema_field *f = &s->fields[i];
		if (f->tag == SCHEMA_TAG_NONE && in_version(f, version))
			encode_field(f, version, is_flexible(s, version), value, e);
	}
	if (is_flexible(s, version))
		encode_tags(s, version, value, e->out);
}

void schema_encode(const struct schema *s, int version, const void *value, struct buf *out)
{
	struct encoder e = { .out = out };

	assert(schema_has_version(s, version));
	encode_struct(s, version, value, &e);
}

size_t schema_encode_around(const struct schema *s, int version, const void *value,
			    size_t gap_bytes_min, struct schema_gap *gaps, size_t gap_count_max,
			    struct buf *out)
{
	struct encoder e = {
		.out = out,
		.gaps = gaps,
		.gap_count_max = gap_count_max,
		.gap_bytes_min = gap_bytes_min,
	};

	assert(schema_has_version(s, version));
	encode_struct(s, version, value, &e);
	return e.gap_count;
}

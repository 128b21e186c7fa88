/* The codec of data files; doc/formats/data-file.md has the layout byte by byte.
 *
 *	header | batches of partition A | batches of partition B | ... | entries | topics | trailer
 *	                                                               `---- footer ----'
 *
 * The reader believes nothing: the entries of a footer whose checksum is right must still be
 * sorted, lie one after the other, and fill the body exactly. */
#include "wire/streams/data_file.h"

#include <assert.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/text.h"

static const struct slice header_magic = { (const uint8_t *)"HANSEDAT", 8 };
static const struct slice trailer_magic = { (const uint8_t *)"HANSEEND", 8 };

enum {
	HEADER_VERSION_AT = 8,
	HEADER_FLAGS_AT = 10,
	HEADER_SIZE_AT = 12,
	HEADER_CLUSTER_ID_AT = 16,
	HEADER_INCARNATION_AT = 32,
	HEADER_SEQUENCE_AT = 40,
	HEADER_CREATED_AT = 48,
	HEADER_RESERVED_AT = 56,
	HEADER_CRC_AT = 60,

	TRAILER_FOOTER_OFFSET_AT = 0,
	TRAILER_FOOTER_SIZE_AT = 8,
	TRAILER_COUNT_AT = 12,
	TRAILER_VERSION_AT = 16,
	TRAILER_FLAGS_AT = 18,
	TRAILER_CRC_AT = 20, /* of the footer and the trailer up to here */
	TRAILER_MAGIC_AT = 24,
};

enum {
	ENTRY_BYTES_V1 = 76,
	TOPIC_COUNT_BYTES = 4,
	TOPICS_BYTES_MAX =
		TOPIC_COUNT_BYTES +
		DATA_FILE_TOPICS_MAX * (DATA_FILE_TOPIC_BYTES + DATA_FILE_TOPIC_NAME_BYTES_MAX),
};

/* --- entries --------------------------------------------------------------------------------- */

static void encode_entry(const struct data_file_entry *e, uint8_t *ret)
{
	memcpy(ret, e->topic_id, sizeof(e->topic_id));
	put_u32(ret + 16, e->partition);
	put_u64(ret + 20, e->offset);
	put_u32(ret + 28, e->size);
	put_u32(ret + 32, (uint32_t)e->record_count);
	put_u32(ret + 36, (uint32_t)e->last_offset_delta);
	put_u64(ret + 40, (uint64_t)e->base_timestamp);
	put_u64(ret + 48, (uint64_t)e->max_timestamp);
	put_u64(ret + 56, (uint64_t)e->producer_id);
	put_u16(ret + 64, (uint16_t)e->producer_epoch);
	put_u32(ret + 66, (uint32_t)e->base_sequence);
	put_u16(ret + 70, e->attributes);
	put_u32(ret + 72, e->crc);
	put_u64(ret + 76, (uint64_t)e->base_offset);
}

static void decode_entry(const uint8_t *p, uint16_t version, struct data_file_entry *ret)
{
	*ret = (struct data_file_entry) {
		.partition = get_u32(p + 16),
		.offset = get_u64(p + 20),
		.size = get_u32(p + 28),
		.record_count = (int32_t)get_u32(p + 32),
		.last_offset_delta = (int32_t)get_u32(p + 36),
		.base_timestamp = (int64_t)get_u64(p + 40),
		.max_timestamp = (int64_t)get_u64(p + 48),
		.producer_id = (int64_t)get_u64(p + 56),
		.producer_epoch = (int16_t)get_u16(p + 64),
		.base_sequence = (int32_t)get_u32(p + 66),
		.attributes = get_u16(p + 70),
		.crc = get_u32(p + 72),
		.base_offset = version == 1 ? -1 : (int64_t)get_u64(p + 76),
	};
	memcpy(ret->topic_id, p, sizeof(ret->topic_id));
}

static void describe(const struct record_batch *b, struct data_file_entry *ret)
{
	ret->size = (uint32_t)b->bytes.size;
	ret->record_count = b->record_count;
	ret->last_offset_delta = b->last_offset_delta;
	ret->base_timestamp = b->base_timestamp;
	ret->max_timestamp = b->max_timestamp;
	ret->producer_id = b->producer_id;
	ret->producer_epoch = b->producer_epoch;
	ret->base_sequence = b->base_sequence;
	ret->attributes = b->attributes;
	ret->crc = b->crc;
}

/* By topic id and partition. */
static int compare_partition(const struct data_file_entry *a, const struct data_file_entry *b)
{
	int order = memcmp(a->topic_id, b->topic_id, sizeof(a->topic_id));

	return order ? order : (a->partition > b->partition) - (a->partition < b->partition);
}

/* --- writing --------------------------------------------------------------------------------- */

struct data_file_batch {
	struct data_file_entry entry;
	struct slice bytes;
	struct blob *holder;
};

enum { BATCH_CAPACITY_MIN = 64 };

void data_file_writer_init(struct data_file_writer *w)
{
	*w = (struct data_file_writer) { 0 };
	buf_init(&w->topics);
	buf_init(&w->footer);
}

void data_file_writer_done(struct data_file_writer *w)
{
	for (size_t i = 0; i < w->batch_count; i++)
		blob_unref(&w->batches[i].holder);
	memory_free(w->batches);
	memory_free(w->entries);
	memory_free(w->slices);
	buf_done(&w->topics);
	buf_done(&w->footer);
	*w = (struct data_file_writer) { 0 };
}

size_t data_file_writer_size(const struct data_file_writer *w)
{
	return DATA_FILE_HEADER_BYTES + w->body_size + w->batch_count * DATA_FILE_ENTRY_BYTES +
	       TOPIC_COUNT_BYTES + w->topics.size + DATA_FILE_TRAILER_BYTES;
}

enum err data_file_writer_add(struct data_file_writer *w, const uint8_t topic_id[16],
			      uint32_t partition, const struct record_batch *batch,
			      struct blob *holder)
{
	struct slice bytes = batch->bytes;

	assert(!w->entries);
	assert(bytes.size >= RECORD_BATCH_HEADER_BYTES && bytes.size <= RECORD_BATCH_BYTES_MAX);
	assert(bytes.data >= holder->data &&
	       bytes.data + bytes.size <= holder->data + holder->size);
	if (w->batch_count == DATA_FILE_ENTRIES_MAX ||
	    data_file_writer_size(w) + bytes.size + DATA_FILE_ENTRY_BYTES + TOPICS_BYTES_MAX >
		    DATA_FILE_BYTES_MAX)
		return ERR_FULL;

	if (w->batch_count == w->batch_capacity) {
		w->batch_capacity = w->batch_capacity ? 2 * w->batch_capacity : BATCH_CAPACITY_MIN;
		w->batches = memory_grow(w->batches, w->batch_capacity * sizeof(*w->batches));
	}
	struct data_file_batch *added = &w->batches[w->batch_count];
	*added = (struct data_file_batch) {
		.entry = { .partition = partition,
			   .base_offset = -1,
			   .arrival = (uint32_t)w->batch_count },
		.bytes = bytes,
		.holder = blob_ref(holder),
	};
	memcpy(added->entry.topic_id, topic_id, sizeof(added->entry.topic_id));
	describe(batch, &added->entry);
	w->batch_count++;
	w->body_size += bytes.size;
	return OK;
}

/* qsort is not stable; arrival makes the order total. */
static int compare_place(const void *left, const void *right)
{
	const struct data_file_entry *a = left, *b = right;
	int order = compare_partition(a, b);

	return order ? order : (a->arrival > b->arrival) - (a->arrival < b->arrival);
}

static void encode_header(const struct data_file_header *h, uint8_t *ret)
{
	memcpy(ret, header_magic.data, header_magic.size);
	put_u16(ret + HEADER_VERSION_AT, DATA_FILE_VERSION);
	put_u16(ret + HEADER_FLAGS_AT, h->flags);
	put_u32(ret + HEADER_SIZE_AT, DATA_FILE_HEADER_BYTES);
	memcpy(ret + HEADER_CLUSTER_ID_AT, h->cluster_id, sizeof(h->cluster_id));
	put_u64(ret + HEADER_INCARNATION_AT, h->incarnation);
	put_u64(ret + HEADER_SEQUENCE_AT, h->sequence);
	put_u64(ret + HEADER_CREATED_AT, (uint64_t)h->created_ms);
	put_u32(ret + HEADER_RESERVED_AT, 0);
	put_u32(ret + HEADER_CRC_AT, crc32c((struct slice) { ret, HEADER_CRC_AT }));
}

static void add_trailer(struct buf *footer, uint64_t footer_offset, uint32_t count, uint16_t flags)
{
	uint32_t footer_size = (uint32_t)footer->size;

	buf_add_u64(footer, footer_offset);
	buf_add_u32(footer, footer_size);
	buf_add_u32(footer, count);
	buf_add_u16(footer, DATA_FILE_VERSION);
	buf_add_u16(footer, flags);
	buf_add_u32(footer, crc32c(buf_slice(footer)));
	buf_add_slice(footer, trailer_magic);
}

static void add_slice(struct data_file_writer *w, struct slice s)
{
	struct slice *last = w->slice_count ? &w->slices[w->slice_count - 1] : NULL;

	if (last && last->data + last->size == s.data)
		last->size += s.size;
	else
		w->slices[w->slice_count++] = s;
}

void data_file_writer_arrange(struct data_file_writer *w)
{
	uint64_t offset = DATA_FILE_HEADER_BYTES;

	assert(!w->entries && w->batch_count > 0);
	w->entries = memory_take_array(w->batch_count, sizeof(*w->entries));
	for (size_t i = 0; i < w->batch_count; i++)
		w->entries[i] = w->batches[i].entry;
	qsort(w->entries, w->batch_count, sizeof(*w->entries), compare_place);
	for (size_t i = 0; i < w->batch_count; i++) {
		w->entries[i].offset = offset;
		offset += w->entries[i].size;
	}
}

enum err data_file_writer_name(struct data_file_writer *w, const struct data_file_topic *topic)
{
	size_t id_size = sizeof(topic->topic_id);

	assert(w->entries && !w->is_finished);
	assert(topic->name.size > 0 && topic->name.size <= DATA_FILE_TOPIC_NAME_BYTES_MAX);
	assert(w->topic_count == 0 || memcmp(w->last_topic_id, topic->topic_id, id_size) < 0);
	if (w->topic_count == DATA_FILE_TOPICS_MAX)
		return ERR_FULL;
	buf_add(&w->topics, topic->topic_id, id_size);
	buf_add_u32(&w->topics, topic->partition_count);
	buf_add_u16(&w->topics, (uint16_t)topic->name.size);
	buf_add_slice(&w->topics, topic->name);
	memcpy(w->last_topic_id, topic->topic_id, id_size);
	w->topic_count++;
	return OK;
}

void data_file_writer_finish(struct data_file_writer *w, const struct data_file_header *header)
{
	assert(!w->is_finished && (header->flags & ~DATA_FILE_FLAGS) == 0);

	if (!w->entries)
		data_file_writer_arrange(w);
	w->slices = memory_take_array(w->batch_count + 2, sizeof(*w->slices));
	encode_header(header, w->header);
	add_slice(w, (struct slice) { w->header, sizeof(w->header) });
	buf_reserve(&w->footer, w->batch_count * DATA_FILE_ENTRY_BYTES + TOPIC_COUNT_BYTES +
					w->topics.size + DATA_FILE_TRAILER_BYTES);
	for (size_t i = 0; i < w->batch_count; i++) {
		encode_entry(&w->entries[i], buf_add_zero(&w->footer, DATA_FILE_ENTRY_BYTES));
		add_slice(w, w->batches[w->entries[i].arrival].bytes);
	}
	buf_add_u32(&w->footer, w->topic_count);
	buf_add_slice(&w->footer, buf_slice(&w->topics));
	add_trailer(&w->footer, DATA_FILE_HEADER_BYTES + w->body_size, (uint32_t)w->batch_count,
		    header->flags);
	add_slice(w, buf_slice(&w->footer));
	w->is_finished = true;

	assert(DATA_FILE_HEADER_BYTES + w->body_size + w->footer.size == data_file_writer_size(w));
}

/* --- reading --------------------------------------------------------------------------------- */

static int flags_of(uint16_t version)
{
	return version == 1 ? 0 : DATA_FILE_FLAGS;
}

static uint32_t entry_bytes(uint16_t version)
{
	return version == 1 ? ENTRY_BYTES_V1 : DATA_FILE_ENTRY_BYTES;
}

enum err data_file_decode_header(struct slice bytes, struct data_file_header *ret)
{
	if (bytes.size < DATA_FILE_HEADER_BYTES || !slice_starts_with(bytes, header_magic))
		return ERR_CORRUPT;

	const uint8_t *p = bytes.data;
	uint16_t version = get_u16(p + HEADER_VERSION_AT), flags = get_u16(p + HEADER_FLAGS_AT);
	if (version > DATA_FILE_VERSION)
		return ERR_UNSUPPORTED;
	if (get_u32(p + HEADER_CRC_AT) != crc32c((struct slice) { p, HEADER_CRC_AT }) ||
	    version == 0 || (flags & ~flags_of(version)) != 0 ||
	    get_u32(p + HEADER_SIZE_AT) != DATA_FILE_HEADER_BYTES ||
	    get_u32(p + HEADER_RESERVED_AT) != 0)
		return ERR_CORRUPT;

	*ret = (struct data_file_header) {
		.version = version,
		.flags = flags,
		.incarnation = get_u64(p + HEADER_INCARNATION_AT),
		.sequence = get_u64(p + HEADER_SEQUENCE_AT),
		.created_ms = (int64_t)get_u64(p + HEADER_CREATED_AT),
	};
	memcpy(ret->cluster_id, p + HEADER_CLUSTER_ID_AT, sizeof(ret->cluster_id));
	return OK;
}

static bool footer_size_fits(const struct data_file_trailer *t)
{
	uint32_t entries_size = t->entry_count * entry_bytes(t->version);

	if (t->version == 1)
		return t->footer_size == entries_size;
	return t->footer_size >= entries_size + TOPIC_COUNT_BYTES &&
	       t->footer_size <= entries_size + TOPICS_BYTES_MAX;
}

enum err data_file_decode_trailer(struct slice bytes, uint64_t file_size,
				  struct data_file_trailer *ret)
{
	if (file_size > DATA_FILE_BYTES_MAX)
		return ERR_TOO_BIG;
	if (bytes.size != DATA_FILE_TRAILER_BYTES ||
	    file_size < DATA_FILE_HEADER_BYTES + DATA_FILE_TRAILER_BYTES ||
	    !slice_equal(slice_part(bytes, TRAILER_MAGIC_AT, trailer_magic.size), trailer_magic))
		return ERR_CORRUPT;

	const uint8_t *p = bytes.data;
	struct data_file_trailer trailer = {
		.version = get_u16(p + TRAILER_VERSION_AT),
		.flags = get_u16(p + TRAILER_FLAGS_AT),
		.footer_offset = get_u64(p + TRAILER_FOOTER_OFFSET_AT),
		.footer_size = get_u32(p + TRAILER_FOOTER_SIZE_AT),
		.entry_count = get_u32(p + TRAILER_COUNT_AT),
	};
	if (trailer.version > DATA_FILE_VERSION)
		return ERR_UNSUPPORTED;
	if (trailer.entry_count > DATA_FILE_ENTRIES_MAX)
		return ERR_TOO_BIG;
	if (trailer.version == 0 || (trailer.flags & ~flags_of(trailer.version)) != 0 ||
	    trailer.entry_count == 0 || !footer_size_fits(&trailer) ||
	    trailer.footer_offset < DATA_FILE_HEADER_BYTES || trailer.footer_offset > file_size ||
	    trailer.footer_offset + trailer.footer_size + DATA_FILE_TRAILER_BYTES != file_size)
		return ERR_CORRUPT;
	*ret = trailer;
	return OK;
}

/* Offsets of compacted batches go up along a partition; all others are known, or -1. */
static bool offsets_are_right(const struct data_file_entry *before, const struct data_file_entry *e,
			      bool is_final)
{
	if (!is_final)
		return e->base_offset >= -1;
	if (e->base_offset < 0 || e->base_offset > INT64_MAX - e->last_offset_delta)
		return false;
	return !before || compare_partition(before, e) != 0 ||
	       before->base_offset + before->last_offset_delta < e->base_offset;
}

/* Sorted by partition, each batch where the one before it ends, up to the footer. */
static bool entries_fill_body(const struct data_file_entry *entries,
			      const struct data_file_trailer *trailer)
{
	bool is_final = trailer->flags & DATA_FILE_FINAL_OFFSETS;
	uint64_t offset = DATA_FILE_HEADER_BYTES;

	for (size_t i = 0; i < trailer->entry_count; i++) {
		const struct data_file_entry *e = &entries[i], *before = i > 0 ? e - 1 : NULL;
		if (e->offset != offset || e->size < RECORD_BATCH_HEADER_BYTES ||
		    e->size > RECORD_BATCH_BYTES_MAX || e->record_count < 0 ||
		    e->last_offset_delta < 0)
			return false;
		if ((before && compare_partition(before, e) > 0) ||
		    !offsets_are_right(before, e, is_final))
			return false;
		offset += e->size;
	}
	return offset == trailer->footer_offset;
}

/* Sorted by id; each is the topic of an entry; nothing is behind the last. */
static enum err decode_topics(struct arena *a, struct slice in, struct data_file_footer *footer)
{
	uint32_t count = get_u32(in.data);
	size_t entry = 0;

	in = slice_part(in, TOPIC_COUNT_BYTES, in.size);
	if (count > DATA_FILE_TOPICS_MAX)
		return ERR_TOO_BIG;
	footer->topics = arena_take_array(a, count, sizeof(*footer->topics));
	footer->topic_count = count;
	for (size_t i = 0; i < count; i++) {
		struct data_file_topic *topic = &footer->topics[i];
		size_t id_size = sizeof(topic->topic_id);

		if (in.size < DATA_FILE_TOPIC_BYTES)
			return ERR_CORRUPT;
		memcpy(topic->topic_id, in.data, id_size);
		topic->partition_count = get_u32(in.data + 16);
		size_t name_size = get_u16(in.data + 20);
		topic->name = slice_part(in, DATA_FILE_TOPIC_BYTES, name_size);
		if (name_size == 0 || name_size > DATA_FILE_TOPIC_NAME_BYTES_MAX ||
		    topic->name.size != name_size ||
		    (i > 0 && memcmp(topic[-1].topic_id, topic->topic_id, id_size) >= 0))
			return ERR_CORRUPT;
		in = slice_part(in, DATA_FILE_TOPIC_BYTES + name_size, in.size);
		while (entry < footer->entry_count &&
		       memcmp(footer->entries[entry].topic_id, topic->topic_id, id_size) < 0)
			entry++;
		if (entry == footer->entry_count ||
		    memcmp(footer->entries[entry].topic_id, topic->topic_id, id_size) != 0)
			return ERR_CORRUPT;
	}
	return in.size ? ERR_CORRUPT : OK;
}

enum err data_file_decode_footer(struct arena *a, struct slice footer_and_trailer,
				 uint64_t file_size, struct data_file_footer *ret)
{
	struct data_file_trailer trailer;

	if (footer_and_trailer.size < DATA_FILE_TRAILER_BYTES)
		return ERR_CORRUPT;
	size_t footer_size = footer_and_trailer.size - DATA_FILE_TRAILER_BYTES;
	struct slice trailer_bytes =
		slice_part(footer_and_trailer, footer_size, DATA_FILE_TRAILER_BYTES);
	enum err err = data_file_decode_trailer(trailer_bytes, file_size, &trailer);
	if (err != OK)
		return err;
	struct slice checked = slice_part(footer_and_trailer, 0, footer_size + TRAILER_CRC_AT);
	if (trailer.footer_size != footer_size ||
	    get_u32(trailer_bytes.data + TRAILER_CRC_AT) != crc32c(checked))
		return ERR_CORRUPT;

	struct data_file_footer footer = { .entry_count = trailer.entry_count };
	size_t entry_size = entry_bytes(trailer.version);
	footer.entries = arena_take_array(a, trailer.entry_count, sizeof(*footer.entries));
	for (size_t i = 0; i < trailer.entry_count; i++)
		decode_entry(footer_and_trailer.data + i * entry_size, trailer.version,
			     &footer.entries[i]);
	if (!entries_fill_body(footer.entries, &trailer))
		return ERR_CORRUPT;
	size_t entries_size = trailer.entry_count * entry_size;
	if (trailer.version > 1)
		err = decode_topics(a,
				    slice_part(footer_and_trailer, entries_size,
					       footer_size - entries_size),
				    &footer);
	if (err == OK)
		*ret = footer;
	return err;
}

enum err data_file_decode(struct arena *a, struct slice file, struct data_file *ret)
{
	struct data_file decoded = { .size = file.size };
	struct data_file_trailer trailer;
	struct data_file_footer footer;

	if (file.size > DATA_FILE_BYTES_MAX)
		return ERR_TOO_BIG;
	if (file.size < DATA_FILE_HEADER_BYTES + DATA_FILE_TRAILER_BYTES)
		return ERR_CORRUPT;
	enum err err = data_file_decode_header(file, &decoded.header);
	if (err != OK)
		return err;
	size_t trailer_at = file.size - DATA_FILE_TRAILER_BYTES;
	err = data_file_decode_trailer(slice_part(file, trailer_at, DATA_FILE_TRAILER_BYTES),
				       file.size, &trailer);
	if (err != OK)
		return err;
	if (trailer.version != decoded.header.version || trailer.flags != decoded.header.flags)
		return ERR_CORRUPT;
	err = data_file_decode_footer(a, slice_part(file, trailer.footer_offset, file.size),
				      file.size, &footer);
	if (err != OK)
		return err;
	decoded.entries = footer.entries;
	decoded.entry_count = footer.entry_count;
	decoded.topics = footer.topics;
	decoded.topic_count = footer.topic_count;
	*ret = decoded;
	return OK;
}

enum err data_file_check_body(const struct data_file *f, struct slice file)
{
	uint8_t expected[DATA_FILE_ENTRY_BYTES], found[DATA_FILE_ENTRY_BYTES];

	assert(file.size == f->size);
	for (size_t i = 0; i < f->entry_count; i++) {
		const struct data_file_entry *e = &f->entries[i];
		struct data_file_entry told = *e;
		struct slice bytes = slice_part(file, e->offset, e->size);
		struct record_batch batch;

		if (record_batch_next(&bytes, &batch) != OK || bytes.size ||
		    !record_batch_crc_matches(&batch))
			return ERR_CORRUPT;
		describe(&batch, &told);
		encode_entry(e, expected);
		encode_entry(&told, found);
		if (memcmp(expected, found, sizeof(found)) != 0)
			return ERR_CORRUPT;
		if ((f->header.flags & DATA_FILE_FINAL_OFFSETS) &&
		    batch.base_offset != e->base_offset)
			return ERR_CORRUPT;
	}
	return OK;
}

/* --- names ----------------------------------------------------------------------------------- */

enum {
	KEY_PREFIX_BYTES = 5, /* v1/d/ */
	KEY_INCARNATION_AT = 8,
	KEY_SEQUENCE_AT = 25,
};

void data_file_key(char ret[DATA_FILE_KEY_BYTES + 1], uint64_t incarnation, uint64_t sequence)
{
	uint8_t place[16];

	put_u64(place, incarnation);
	put_u64(place + 8, sequence);
	uint8_t spread = (uint8_t)hash_content((struct slice) { place, sizeof(place) }).low;

	memcpy(ret, "v1/d/", KEY_PREFIX_BYTES);
	hex_encode(ret + KEY_PREFIX_BYTES, (struct slice) { &spread, 1 });
	ret[KEY_INCARNATION_AT - 1] = '/';
	hex_encode(ret + KEY_INCARNATION_AT, (struct slice) { place, 8 });
	ret[KEY_SEQUENCE_AT - 1] = '-';
	hex_encode(ret + KEY_SEQUENCE_AT, (struct slice) { place + 8, 8 });
}

enum err data_file_key_parse(struct slice key, uint64_t *ret_incarnation, uint64_t *ret_sequence)
{
	uint8_t incarnation[8], sequence[8];
	char expected[DATA_FILE_KEY_BYTES + 1];

	if (key.size != DATA_FILE_KEY_BYTES ||
	    hex_decode(slice_part(key, KEY_INCARNATION_AT, 16), incarnation, 8) != OK ||
	    hex_decode(slice_part(key, KEY_SEQUENCE_AT, 16), sequence, 8) != OK)
		return ERR_INVALID;
	data_file_key(expected, get_u64(incarnation), get_u64(sequence));
	if (!slice_equal(key, slice_from(expected)))
		return ERR_INVALID;
	*ret_incarnation = get_u64(incarnation);
	*ret_sequence = get_u64(sequence);
	return OK;
}

/* Encoding, decoding and naming of the journal's six kinds of object; see
 * doc/formats/journal.md.
 *
 *      0  4  magic "HJrn"
 *      4  2  format version
 *      6  1  kind
 *      7  1  zero
 *      8  4  size of the whole object
 *     12  4  CRC-32C of the whole object without these four bytes
 *     16 16  epoch: counter, nonce
 *     32  8  time, Unix milliseconds; 0 in a fence
 *     40     the body of the kind
 *
 * Texts and the snapshot pointer are one length byte and the bytes.  The body of a floor
 * and of a seal is its sequence, 8 bytes.  A fence has no body and no time, so that all who fence
 * an epoch write the same bytes under its name. */
#include "cells/journal_format.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/crc32c.h"
#include "base/endian.h"
#include "base/text.h"

enum { AT_VERSION = 4, AT_KIND = 6, AT_SIZE = 8, AT_CHECKSUM = 12, AT_EPOCH = 16, AT_TIME = 32 };

static const uint8_t magic[4] = { 'H', 'J', 'r', 'n' };

int epoch_compare(struct epoch a, struct epoch b)
{
	if (a.counter != b.counter)
		return a.counter < b.counter ? -1 : 1;
	return (a.nonce > b.nonce) - (a.nonce < b.nonce);
}

void epoch_text(char ret[EPOCH_TEXT_BYTES], struct epoch e)
{
	snprintf(ret, EPOCH_TEXT_BYTES, "%016" PRIx64 "%016" PRIx64, e.counter, e.nonce);
}

/* --- bytes ------------------------------------------------------------------------------------ */
static uint32_t checksum_of(struct slice bytes)
{
	uint32_t crc = crc32c(slice_part(bytes, 0, AT_CHECKSUM));

	return crc32c_add(crc, slice_part(bytes, AT_EPOCH, bytes.size));
}

static void add_short(struct buf *b, struct slice s)
{
	assert(s.size <= UINT8_MAX);
	buf_add_u8(b, (uint8_t)s.size);
	buf_add_slice(b, s);
}

static void add_epoch(struct buf *b, struct epoch e)
{
	buf_add_u64(b, e.counter);
	buf_add_u64(b, e.nonce);
}

static void add_snapshot(struct buf *b, const struct journal_snapshot *s)
{
	buf_add_u64(b, s->index);
	add_short(b, (struct slice) { s->bytes, s->size });
}

static void add_start(struct buf *b, const struct journal_object *o)
{
	add_epoch(b, o->previous_epoch);
	buf_add_u64(b, o->previous_sequence);
	buf_add_u64(b, o->base_index);
	buf_add_u32(b, o->previous_checksum);
	add_snapshot(b, &o->snapshot);
	buf_add_u8(b, (uint8_t)o->bucket_count);
	for (unsigned k = 0; k < o->bucket_count; k++)
		buf_add_u8(b, (uint8_t)o->classes[k]);
	add_short(b, o->address);
	add_short(b, o->node);
}

static void add_record(struct buf *b, const struct journal_object *o)
{
	buf_add_u64(b, o->sequence);
	buf_add_u64(b, o->index);
	buf_add_u64(b, o->committed);
	buf_add_u32(b, o->previous_checksum);
	add_snapshot(b, &o->snapshot);
	buf_add_u32(b, (uint32_t)o->payload.size);
	buf_add_slice(b, o->payload);
}

struct blob *journal_object_encode(const struct journal_object *o)
{
	struct buf b;
	struct blob *blob;

	buf_init(&b);
	buf_reserve(&b, o->payload.size + 1024);
	buf_add(&b, magic, sizeof(magic));
	buf_add_u16(&b, JOURNAL_FORMAT_VERSION);
	buf_add_u8(&b, (uint8_t)o->kind);
	buf_add_zero(&b, AT_EPOCH - AT_KIND - 1);
	add_epoch(&b, o->epoch);
	buf_add_u64(&b, o->time_ms);
	if (o->kind == JOURNAL_OBJECT_RECORD)
		add_record(&b, o);
	if (o->kind == JOURNAL_OBJECT_FLOOR || o->kind == JOURNAL_OBJECT_SEAL)
		buf_add_u64(&b, o->sequence);
	if (o->kind == JOURNAL_OBJECT_START)
		add_start(&b, o);
	if (o->kind == JOURNAL_OBJECT_MARK) {
		add_short(&b, o->address);
		add_short(&b, o->node);
	}
	assert(b.size <= JOURNAL_OBJECT_BYTES_MAX);
	blob = blob_from(buf_slice(&b));
	buf_done(&b);
	journal_object_seal(blob);
	return blob;
}

void journal_object_seal(struct blob *body)
{
	put_u32(body->data + AT_SIZE, (uint32_t)body->size);
	put_u32(body->data + AT_CHECKSUM, checksum_of(blob_slice(body)));
}

uint32_t journal_object_checksum(const struct blob *body)
{
	assert(body->size >= JOURNAL_HEADER_BYTES);
	return get_u32(body->data + AT_CHECKSUM);
}

/* Reads from the front; once it failed it gives zeros and stays failed. */
struct reader {
	struct slice left;
	bool failed;
};

static struct slice read_bytes(struct reader *r, size_t size)
{
	struct slice s = slice_part(r->left, 0, size);

	if (s.size < size || r->failed) {
		r->failed = true;
		return (struct slice) { 0 };
	}
	r->left = slice_part(r->left, size, SIZE_MAX);
	return s;
}

static uint8_t read_u8(struct reader *r)
{
	struct slice s = read_bytes(r, 1);

	return s.size ? s.data[0] : 0;
}

static uint32_t read_u32(struct reader *r)
{
	struct slice s = read_bytes(r, 4);

	return s.size ? get_u32(s.data) : 0;
}

static uint64_t read_u64(struct reader *r)
{
	struct slice s = read_bytes(r, 8);

	return s.size ? get_u64(s.data) : 0;
}

static struct slice read_short(struct reader *r, size_t max)
{
	uint8_t size = read_u8(r);

	if (size > max)
		r->failed = true;
	return read_bytes(r, size);
}

static struct epoch read_epoch(struct reader *r)
{
	uint64_t counter = read_u64(r);

	return (struct epoch) { counter, read_u64(r) };
}

static void read_snapshot(struct reader *r, struct journal_snapshot *ret)
{
	ret->index = read_u64(r);
	struct slice s = read_short(r, JOURNAL_SNAPSHOT_BYTES_MAX);
	ret->size = (uint8_t)s.size;
	if (s.size)
		memcpy(ret->bytes, s.data, s.size);
}

static void read_start(struct reader *r, struct journal_object *o)
{
	o->previous_epoch = read_epoch(r);
	o->previous_sequence = read_u64(r);
	o->base_index = read_u64(r);
	o->previous_checksum = read_u32(r);
	read_snapshot(r, &o->snapshot);
	o->bucket_count = read_u8(r);
	if (o->bucket_count > JOURNAL_BUCKETS_MAX || o->previous_sequence > JOURNAL_SEQUENCE_MAX ||
	    o->previous_sequence > o->base_index || o->snapshot.index > o->base_index ||
	    epoch_compare(o->previous_epoch, o->epoch) >= 0) {
		r->failed = true;
		return;
	}
	for (unsigned k = 0; k < o->bucket_count; k++) {
		uint8_t class = read_u8(r);
		if (class > JOURNAL_CAS)
			r->failed = true;
		else
			o->classes[k] = (enum journal_class) class;
	}
	o->address = read_short(r, JOURNAL_ADDRESS_BYTES_MAX);
	o->node = read_short(r, JOURNAL_NODE_BYTES_MAX);
}

static void read_record(struct reader *r, struct journal_object *o)
{
	o->sequence = read_u64(r);
	o->index = read_u64(r);
	o->committed = read_u64(r);
	o->previous_checksum = read_u32(r);
	read_snapshot(r, &o->snapshot);
	o->payload = read_bytes(r, read_u32(r));
	if (o->sequence == 0 || o->sequence > JOURNAL_SEQUENCE_MAX || o->sequence > o->index ||
	    o->committed >= o->index || o->snapshot.index > o->committed ||
	    o->payload.size > JOURNAL_PAYLOAD_BYTES_MAX)
		r->failed = true;
}

enum err journal_object_decode(struct slice bytes, enum journal_object_kind kind,
			       struct journal_object *ret)
{
	struct journal_object o = { .kind = kind };
	struct reader r = { .left = slice_part(bytes, AT_EPOCH, SIZE_MAX) };

	if (bytes.size < JOURNAL_HEADER_BYTES || memcmp(bytes.data, magic, sizeof(magic)) != 0)
		return ERR_CORRUPT;
	o.checksum = get_u32(bytes.data + AT_CHECKSUM);
	if (get_u32(bytes.data + AT_SIZE) != bytes.size || checksum_of(bytes) != o.checksum)
		return ERR_CORRUPT;
	if (get_u16(bytes.data + AT_VERSION) > JOURNAL_FORMAT_VERSION)
		return ERR_UNSUPPORTED;
	if (get_u16(bytes.data + AT_VERSION) == 0 || bytes.data[AT_KIND] != kind ||
	    bytes.data[AT_KIND + 1] != 0)
		return ERR_CORRUPT;
	o.epoch = read_epoch(&r);
	o.time_ms = read_u64(&r);
	if (kind == JOURNAL_OBJECT_RECORD)
		read_record(&r, &o);
	if (kind == JOURNAL_OBJECT_FLOOR || kind == JOURNAL_OBJECT_SEAL)
		o.sequence = read_u64(&r);
	if (kind == JOURNAL_OBJECT_START)
		read_start(&r, &o);
	if (kind == JOURNAL_OBJECT_MARK) {
		o.address = read_short(&r, JOURNAL_ADDRESS_BYTES_MAX);
		o.node = read_short(&r, JOURNAL_NODE_BYTES_MAX);
	}
	if (r.failed || r.left.size)
		return ERR_CORRUPT;
	*ret = o;
	return OK;
}

/* --- names ------------------------------------------------------------------------------------ */
#define CAS_SUFFIX "-cas"
#define COPIES "c/"

void journal_key_marks(char *ret, const char *journal)
{
	snprintf(ret, JOURNAL_KEY_BYTES, "v1/j/%s/epoch/", journal);
}

void journal_key_epochs(char *ret, const char *journal)
{
	snprintf(ret, JOURNAL_KEY_BYTES, "v1/j/%s/e/", journal);
}

void journal_key_mark(char *ret, const char *journal, struct epoch e, enum journal_class class)
{
	char text[EPOCH_TEXT_BYTES];

	epoch_text(text, e);
	snprintf(ret, JOURNAL_KEY_BYTES, "v1/j/%s/epoch/%s%s", journal, text,
		 class == JOURNAL_CAS ? CAS_SUFFIX : "");
}

static void key_in_epoch(char *ret, const char *journal, struct epoch e, const char *last)
{
	char text[EPOCH_TEXT_BYTES];

	epoch_text(text, e);
	snprintf(ret, JOURNAL_KEY_BYTES, "v1/j/%s/e/%s/%s", journal, text, last);
}

void journal_key_epoch(char *ret, const char *journal, struct epoch e)
{
	key_in_epoch(ret, journal, e, "");
}

void journal_key_fence(char *ret, const char *journal, struct epoch e)
{
	key_in_epoch(ret, journal, e, "fence");
}

void journal_key_start(char *ret, const char *journal, struct epoch e)
{
	key_in_epoch(ret, journal, e, "s");
}

static void key_of_record(char *ret, const char *journal, struct epoch e, const char *directory,
			  uint64_t sequence)
{
	char last[24];

	assert(sequence <= JOURNAL_SEQUENCE_MAX);
	snprintf(last, sizeof(last), "%s%09" PRIx64 "/%03" PRIx64, directory, sequence >> 12,
		 sequence & 0xfff);
	key_in_epoch(ret, journal, e, last);
}

void journal_key_record(char *ret, const char *journal, struct epoch e, uint64_t sequence)
{
	key_of_record(ret, journal, e, "", sequence);
}

void journal_key_copy(char *ret, const char *journal, struct epoch e, uint64_t sequence)
{
	key_of_record(ret, journal, e, COPIES, sequence);
}

void journal_key_floors(char *ret, const char *journal, struct epoch e)
{
	key_in_epoch(ret, journal, e, "at/");
}

void journal_key_floor(char *ret, const char *journal, struct epoch e, uint64_t sequence)
{
	char last[24];

	assert(sequence <= JOURNAL_SEQUENCE_MAX);
	snprintf(last, sizeof(last), "at/%012" PRIx64, sequence);
	key_in_epoch(ret, journal, e, last);
}

static bool parse_epoch(struct slice text, struct epoch *ret)
{
	uint8_t bytes[16];

	if (text.size != EPOCH_TEXT_BYTES - 1 || hex_decode(text, bytes, sizeof(bytes)) != OK)
		return false;
	*ret = (struct epoch) { get_u64(bytes), get_u64(bytes + 8) };
	return true;
}

static bool parse_sequence(struct slice text, uint64_t *ret)
{
	uint8_t bytes[8] = { 0 };

	if (text.size != 12 || hex_decode(text, bytes + 2, 6) != OK)
		return false;
	*ret = get_u64(bytes);
	return *ret > 0;
}

/* Records lie 4096 to a directory, so that none grows without end: "<9 hex>/<3 hex>". */
static bool parse_record(struct slice text, uint64_t *ret)
{
	char digits[12];

	if (text.size != 13 || text.data[9] != '/')
		return false;
	memcpy(digits, text.data, 9);
	memcpy(digits + 9, text.data + 10, 3);
	return parse_sequence((struct slice) { (const uint8_t *)digits, 12 }, ret);
}

bool journal_key_parse(struct slice key, const char *journal, struct journal_name *ret)
{
	enum { DIGITS = EPOCH_TEXT_BYTES - 1 };
	char marks[JOURNAL_KEY_BYTES], epochs[JOURNAL_KEY_BYTES];
	struct journal_name name = { 0 };

	journal_key_marks(marks, journal);
	journal_key_epochs(epochs, journal);
	if (slice_starts_with(key, slice_from(marks))) {
		name.kind = JOURNAL_OBJECT_MARK;
		key = slice_part(key, strlen(marks), SIZE_MAX);
		if (slice_equal(slice_part(key, DIGITS, SIZE_MAX), SLICE(CAS_SUFFIX)))
			name.class = JOURNAL_CAS;
		else if (key.size > DIGITS)
			return false;
		if (!parse_epoch(slice_part(key, 0, DIGITS), &name.epoch))
			return false;
		*ret = name;
		return true;
	}
	if (!slice_starts_with(key, slice_from(epochs)))
		return false;
	key = slice_part(key, strlen(epochs), SIZE_MAX);
	if (!parse_epoch(slice_part(key, 0, DIGITS), &name.epoch) ||
	    !slice_equal(slice_part(key, DIGITS, 1), SLICE("/")))
		return false;
	key = slice_part(key, DIGITS + 1, SIZE_MAX);
	if (slice_equal(key, SLICE("fence")))
		name.kind = JOURNAL_OBJECT_FENCE;
	else if (slice_equal(key, SLICE("s")))
		name.kind = JOURNAL_OBJECT_START;
	else if (parse_record(key, &name.sequence))
		name.kind = JOURNAL_OBJECT_RECORD;
	else if (slice_starts_with(key, SLICE(COPIES)) &&
		 parse_record(slice_part(key, strlen(COPIES), SIZE_MAX), &name.sequence)) {
		name.kind = JOURNAL_OBJECT_RECORD;
		name.is_copy = true;
	} else if (slice_starts_with(key, SLICE("at/")) &&
		   parse_sequence(slice_part(key, 3, SIZE_MAX), &name.sequence))
		name.kind = JOURNAL_OBJECT_FLOOR;
	else
		return false;
	*ret = name;
	return true;
}

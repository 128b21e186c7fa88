#include "cells/snapshot.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/map.h"
#include "base/text.h"
#include "cells/cell_envelope.h"
#include "cells/cell_private.h"

enum {
	MANIFEST_MAGIC = 0x48534e50, /* "HSNP" */
	MANIFEST_VERSION = 1,
	MANIFEST_CHUNK_BYTES = 40,
	MANIFEST_BYTES_MAX = 1024 + SNAPSHOT_CHUNKS_MAX * MANIFEST_CHUNK_BYTES,
};

static const struct cell_envelope envelope = {
	.what = "a snapshot manifest",
	.magic = MANIFEST_MAGIC,
	.version = MANIFEST_VERSION,
	.bytes_max = MANIFEST_BYTES_MAX,
};

size_t snapshot_chunk_count(uint64_t image_bytes)
{
	return (size_t)((image_bytes + SNAPSHOT_CHUNK_BYTES - 1) / SNAPSHOT_CHUNK_BYTES);
}

struct slice snapshot_chunk_bytes(struct slice pages, size_t chunk)
{
	return slice_part(pages, chunk * SNAPSHOT_CHUNK_BYTES, SNAPSHOT_CHUNK_BYTES);
}

static bool is_same_id(struct snapshot_id a, struct snapshot_id b)
{
	return memcmp(a.bytes, b.bytes, sizeof(a.bytes)) == 0;
}

bool snapshot_is_new(const struct snapshot_manifest *m, size_t chunk)
{
	assert(chunk < m->chunk_count);
	return is_same_id(m->chunks[chunk].written_by, m->id);
}

static struct slice hash_slice(const struct hash128 *hash)
{
	return (struct slice) { (const uint8_t *)hash, sizeof(*hash) };
}

void snapshot_hash(struct slice pages, struct hash128 *ret)
{
	for (size_t i = 0; i < snapshot_chunk_count(pages.size); i++)
		ret[i] = hash_content(snapshot_chunk_bytes(pages, i));
}

void snapshot_plan(struct arena *a, struct snapshot_id id, uint64_t journal_index,
		   const struct cell *c, const struct cell_image *image,
		   const struct hash128 *hashes, const struct snapshot_manifest *previous,
		   struct snapshot_manifest *ret)
{
	struct snapshot_manifest m = {
		.id = id,
		.journal_index = journal_index,
		.cell_name = arena_copy(a, slice_from(cell_name(c))),
		.state = image->state,
		.image_bytes = image->pages.size,
		.chunk_count = snapshot_chunk_count(image->pages.size),
	};
	struct map written;

	assert(!previous || !is_same_id(previous->id, id));
	map_init(&written);
	for (size_t i = 0; previous && i < previous->chunk_count; i++)
		map_put(&written, hash_slice(&previous->chunks[i].hash), &previous->chunks[i]);

	m.chunks = arena_take_array(a, m.chunk_count, sizeof(m.chunks[0]));
	for (size_t i = 0; i < m.chunk_count; i++) {
		struct slice bytes = snapshot_chunk_bytes(image->pages, i);
		const struct snapshot_chunk *old = map_get(&written, hash_slice(&hashes[i]));
		if (old && old->size == bytes.size)
			m.chunks[i] = *old;
		else
			m.chunks[i] = (struct snapshot_chunk) { id, (uint32_t)i,
								(uint32_t)bytes.size, hashes[i] };
	}
	map_done(&written);
	*ret = m;
}

void snapshot_chunk_name(const char *journal, const struct snapshot_chunk *chunk,
			 char ret[SNAPSHOT_CHUNK_NAME_BYTES])
{
	char id[2 * sizeof(chunk->written_by.bytes) + 1];

	assert(strlen(journal) <= SNAPSHOT_JOURNAL_BYTES_MAX);
	hex_encode(id, (struct slice) { chunk->written_by.bytes, sizeof(chunk->written_by.bytes) });
	snprintf(ret, SNAPSHOT_CHUNK_NAME_BYTES, "v1/j/%s/chunk/%s-%08x", journal, id,
		 chunk->number);
}

void snapshot_manifest_name(const char *journal, uint64_t journal_index,
			    const struct snapshot_id *id, char ret[SNAPSHOT_CHUNK_NAME_BYTES])
{
	char hex[2 * sizeof(id->bytes) + 1];

	assert(strlen(journal) <= SNAPSHOT_JOURNAL_BYTES_MAX);
	hex_encode(hex, (struct slice) { id->bytes, sizeof(id->bytes) });
	snprintf(ret, SNAPSHOT_CHUNK_NAME_BYTES, "v1/j/%s/snap/%016" PRIx64 "-%s", journal,
		 journal_index, hex);
}

/* The object of a chunk: who wrote it, and its number there. */
struct chunk_key {
	uint8_t bytes[sizeof(struct snapshot_id) + sizeof(uint32_t)];
};

static struct chunk_key *chunk_key(struct arena *a, const struct snapshot_chunk *chunk)
{
	struct chunk_key *key = arena_take(a, sizeof(*key));

	memcpy(key->bytes, chunk->written_by.bytes, sizeof(chunk->written_by.bytes));
	memcpy(key->bytes + sizeof(struct snapshot_id), &chunk->number, sizeof(chunk->number));
	return key;
}

size_t snapshot_unused(struct arena *a, const struct snapshot_manifest *old,
		       const struct snapshot_manifest *new, struct snapshot_chunk **ret)
{
	struct snapshot_chunk *unused = arena_take_array(a, old->chunk_count + 1, sizeof(*unused));
	struct map known;
	size_t count = 0;

	map_init(&known);
	for (size_t i = 0; i < new->chunk_count; i++) {
		struct chunk_key *key = chunk_key(a, &new->chunks[i]);
		map_put(&known, (struct slice) { key->bytes, sizeof(key->bytes) }, key);
	}
	for (size_t i = 0; i < old->chunk_count; i++) {
		struct chunk_key *key = chunk_key(a, &old->chunks[i]);
		/* Also known from now on: two places of an image may share an object. */
		if (!map_put(&known, (struct slice) { key->bytes, sizeof(key->bytes) }, key))
			unused[count++] = old->chunks[i];
	}
	map_done(&known);
	*ret = unused;
	return count;
}

void snapshot_encode(const struct snapshot_manifest *m, struct buf *ret)
{
	size_t start = cell_envelope_begin(ret, &envelope);

	assert(m->chunk_count <= SNAPSHOT_CHUNKS_MAX && m->cell_name.size <= CELL_NAME_BYTES_MAX);
	buf_add(ret, m->id.bytes, sizeof(m->id.bytes));
	buf_add_u64(ret, m->journal_index);
	buf_add_u64(ret, m->state.sequence);
	buf_add_u64(ret, m->state.now_ms);
	buf_add_u64(ret, m->state.hash.high);
	buf_add_u64(ret, m->state.hash.low);
	buf_add_u64(ret, m->image_bytes);
	buf_add_u32(ret, (uint32_t)m->chunk_count);
	buf_add_u8(ret, (uint8_t)m->cell_name.size);
	buf_add_slice(ret, m->cell_name);
	for (size_t i = 0; i < m->chunk_count; i++) {
		const struct snapshot_chunk *chunk = &m->chunks[i];
		buf_add(ret, chunk->written_by.bytes, sizeof(chunk->written_by.bytes));
		buf_add_u32(ret, chunk->number);
		buf_add_u32(ret, chunk->size);
		buf_add_u64(ret, chunk->hash.high);
		buf_add_u64(ret, chunk->hash.low);
	}
	cell_envelope_finish(ret, &envelope, start);
}

static void read_id(struct cell_reader *r, struct snapshot_id *ret)
{
	struct slice bytes = cell_read_bytes(r, sizeof(ret->bytes));

	memcpy(ret->bytes, bytes.data, bytes.size);
}

static void read_chunk(struct cell_reader *r, struct snapshot_chunk *ret)
{
	read_id(r, &ret->written_by);
	ret->number = (uint32_t)cell_read_number(r, 4);
	ret->size = (uint32_t)cell_read_number(r, 4);
	ret->hash.high = cell_read_number(r, 8);
	ret->hash.low = cell_read_number(r, 8);
}

/* The sizes must fill the image exactly, or placing chunks would write elsewhere. */
static bool sizes_are_right(const struct snapshot_manifest *m)
{
	for (size_t i = 0; i < m->chunk_count; i++) {
		uint64_t left = m->image_bytes - i * SNAPSHOT_CHUNK_BYTES;
		uint64_t size = left < SNAPSHOT_CHUNK_BYTES ? left : SNAPSHOT_CHUNK_BYTES;
		if (m->chunks[i].size != size)
			return false;
	}
	return true;
}

enum err snapshot_decode(struct arena *a, struct slice bytes, struct snapshot_manifest *ret,
			 char why[CELL_WHY_BYTES])
{
	struct snapshot_manifest m = { 0 };
	struct slice body;
	enum err err = cell_envelope_read(bytes, &envelope, &body, why);

	if (err)
		return err;
	struct cell_reader r = { body, false };
	read_id(&r, &m.id);
	m.journal_index = cell_read_number(&r, 8);
	m.state.sequence = cell_read_number(&r, 8);
	m.state.now_ms = cell_read_number(&r, 8);
	m.state.hash.high = cell_read_number(&r, 8);
	m.state.hash.low = cell_read_number(&r, 8);
	m.image_bytes = cell_read_number(&r, 8);
	m.chunk_count = (size_t)cell_read_number(&r, 4);
	m.cell_name = cell_read_bytes(&r, cell_read_number(&r, 1));
	if (r.bad || m.cell_name.size == 0 || m.cell_name.size > CELL_NAME_BYTES_MAX ||
	    m.image_bytes > CELL_IMAGE_BYTES_MAX ||
	    m.chunk_count != snapshot_chunk_count(m.image_bytes) ||
	    r.rest.size != m.chunk_count * MANIFEST_CHUNK_BYTES ||
	    bytes.size != CELL_ENVELOPE_BYTES + body.size) {
		cell_explain(why, "the sizes in a snapshot manifest contradict each other");
		return ERR_CORRUPT;
	}
	m.chunks = arena_take_array(a, m.chunk_count, sizeof(m.chunks[0]));
	for (size_t i = 0; i < m.chunk_count; i++)
		read_chunk(&r, &m.chunks[i]);
	assert(!r.bad && r.rest.size == 0);
	if (!sizes_are_right(&m)) {
		cell_explain(why, "a chunk in a snapshot manifest has a wrong size");
		return ERR_CORRUPT;
	}
	*ret = m;
	return OK;
}

enum err snapshot_place(const struct snapshot_manifest *m, size_t chunk, struct slice bytes,
			uint8_t *image, char why[CELL_WHY_BYTES])
{
	assert(chunk < m->chunk_count);
	if (bytes.size != m->chunks[chunk].size ||
	    !hash128_equal(hash_content(bytes), m->chunks[chunk].hash)) {
		cell_explain(why, "chunk %zu of %zu: %zu bytes with another hash", chunk,
			     m->chunk_count, bytes.size);
		return ERR_CORRUPT;
	}
	memcpy(image + chunk * SNAPSHOT_CHUNK_BYTES, bytes.data, bytes.size);
	return OK;
}

enum err snapshot_load(const struct snapshot_manifest *m, struct slice image, struct cell *c,
		       char why[CELL_WHY_BYTES])
{
	if (!slice_equal(m->cell_name, slice_from(cell_name(c))) || image.size != m->image_bytes) {
		cell_explain(why, "a snapshot of cell %.*s, this is %.50s", (int)m->cell_name.size,
			     (const char *)m->cell_name.data, cell_name(c));
		return ERR_INVALID;
	}
	return cell_load(c, image, m->state, why);
}

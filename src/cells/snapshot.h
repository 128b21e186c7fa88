/* Snapshots: a cell's pages as chunks of 64 KiB and a manifest that names them.
 *
 * Pure functions; whoever holds the buckets does the PUTs and GETs:
 *
 *	take:  cell_image -> snapshot_hash -> snapshot_plan -> PUT chunks that are new
 *	       -> PUT manifest (last)
 *	load:  GET manifest -> snapshot_decode -> GET every chunk -> snapshot_place
 *	       -> snapshot_load
 *
 * A chunk whose bytes were already in the previous manifest keeps its old object.  Chunk objects
 * are never overwritten: their name has the identity of the snapshot that wrote them.  The
 * manifest's format is doc/formats/snapshot.md. */
#ifndef CELLS_SNAPSHOT_H
#define CELLS_SNAPSHOT_H

#include "base/arena.h"
#include "cells/cell.h"

enum {
	SNAPSHOT_CHUNK_BYTES = 64 * 1024,
	SNAPSHOT_CHUNKS_MAX = CELL_IMAGE_BYTES_MAX / SNAPSHOT_CHUNK_BYTES,
	SNAPSHOT_JOURNAL_BYTES_MAX = 64, /* the journal's name in object names */
	SNAPSHOT_CHUNK_NAME_BYTES = 160, /* room for an object name and its NUL */
};

/* Drawn at random for each attempt to take a snapshot. */
struct snapshot_id {
	uint8_t bytes[16];
};

struct snapshot_chunk {
	struct snapshot_id written_by; /* with `number` the object's name */
	uint32_t number;
	uint32_t size; /* SNAPSHOT_CHUNK_BYTES but for the last one */
	struct hash128 hash;
};

struct snapshot_manifest {
	struct snapshot_id id;
	uint64_t journal_index; /* of the last journal record in it */
	struct slice cell_name;
	struct cell_state state; /* of the cell */
	uint64_t image_bytes;
	struct snapshot_chunk *chunks; /* in the order of the image */
	size_t chunk_count;
};

/* The hash of each chunk of `pages`, on any thread; `ret` has room for snapshot_chunk_count(). */
size_t snapshot_chunk_count(uint64_t image_bytes);
void snapshot_hash(struct slice pages, struct hash128 *ret);

/* What to write for the pages of `image`, with the hashes of their chunks.  Chunks with written_by
 * == id are to be PUT, the others exist as long as `previous` (NULL if there is none) is not
 * trimmed. */
void snapshot_plan(struct arena *a, struct snapshot_id id, uint64_t journal_index,
		   const struct cell *c, const struct cell_image *image,
		   const struct hash128 *hashes, const struct snapshot_manifest *previous,
		   struct snapshot_manifest *ret);

bool snapshot_is_new(const struct snapshot_manifest *m, size_t chunk);

/* Where chunk i of the image is. */
struct slice snapshot_chunk_bytes(struct slice pages, size_t chunk);

/* "v1/j/<journal>/chunk/<32 hex>-<8 hex>"; `journal` is not longer than its limit. */
void snapshot_chunk_name(const char *journal, const struct snapshot_chunk *chunk,
			 char ret[SNAPSHOT_CHUNK_NAME_BYTES]);

/* "v1/j/<journal>/snap/<16 hex>-<32 hex>". */
void snapshot_manifest_name(const char *journal, uint64_t journal_index,
			    const struct snapshot_id *id, char ret[SNAPSHOT_CHUNK_NAME_BYTES]);

/* The chunks of `old` that `new` does not use; their objects may go when no manifest but `new` will
 * be read again.  An array in the arena. */
size_t snapshot_unused(struct arena *a, const struct snapshot_manifest *old,
		       const struct snapshot_manifest *new, struct snapshot_chunk **ret);

void snapshot_encode(const struct snapshot_manifest *m, struct buf *ret);

/* ERR_CORRUPT when the bytes are no manifest, ERR_UNSUPPORTED when they are a newer one.  The name
 * is borrowed from `bytes`, the chunks live in the arena. */
MUST_CHECK enum err snapshot_decode(struct arena *a, struct slice bytes,
				    struct snapshot_manifest *ret, char why[CELL_WHY_BYTES]);

/* Check a chunk that was read, and copy it to its place in an image of image_bytes. */
MUST_CHECK enum err snapshot_place(const struct snapshot_manifest *m, size_t chunk,
				   struct slice bytes, uint8_t *image, char why[CELL_WHY_BYTES]);

/* cell_load() with the state of the manifest, after comparing names. */
MUST_CHECK enum err snapshot_load(const struct snapshot_manifest *m, struct slice image,
				  struct cell *c, char why[CELL_WHY_BYTES]);

#endif

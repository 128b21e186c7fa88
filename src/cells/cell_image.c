/* Images of a cell: its pages as bytes, and back.
 *
 * An image is copied while nothing else may happen, so that has to be short.  Copying 768 MiB takes
 * a tenth of a second, but getting that many new pages from the system up to two and a half: so the
 * room for it is made before, on another thread (cell_room_make), and SQLite, which insists on
 * allocating what it serializes into, is given that room by the allocator below. */
#include <assert.h>

#include "base/endian.h"
#include "cells/cell_private.h"

enum {
	IMAGE_PAGE_SIZE_AT = 16,
	IMAGE_PAGE_COUNT_AT = 28, /* in SQLite's file header */
	ROOM_SLACK_BYTES = 256 * 1024,
	ROOM_SLACK_SHARE = 16, /* and this part of the image: the cell grows meanwhile */
};

/* --- room -------------------------------------------------------------------------------------*/

/* SQLite's own; what follows only answers one request another way. */
static sqlite3_mem_methods standard;

/* What sqlite3_serialize() of this thread asks for, and what it gets then. */
static _Thread_local struct cell_room *offered;
static _Thread_local size_t wanted_bytes;

static void *take_memory(int bytes)
{
	if (!offered || (size_t)bytes != wanted_bytes)
		return standard.xMalloc(bytes);

	void *memory = offered->memory;
	*offered = (struct cell_room) { 0 };
	offered = NULL;
	return memory;
}

/* Before main: SQLite takes no configuration once it is in use. */
__attribute__((constructor)) static void prepare_allocator(void)
{
	if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &standard) != SQLITE_OK)
		return;
	sqlite3_mem_methods methods = standard;
	methods.xMalloc = take_memory;
	sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
}

size_t cell_image_bytes(struct cell *c)
{
	return (size_t)cell_count_pages(c) * CELL_PAGE_BYTES;
}

size_t cell_room_bytes(struct cell *c)
{
	size_t bytes = cell_image_bytes(c);

	return bytes + bytes / ROOM_SLACK_SHARE / CELL_PAGE_BYTES * CELL_PAGE_BYTES +
	       ROOM_SLACK_BYTES;
}

void cell_room_make(struct cell_room *room, size_t bytes)
{
	*room = (struct cell_room) { 0 };
	assert(bytes <= (size_t)CELL_IMAGE_BYTES_MAX * 2);
	uint8_t *memory = standard.xMalloc ? standard.xMalloc((int)bytes) : NULL;
	if (!memory)
		return; /* then the image finds its own */
	for (size_t at = 0; at < bytes; at += CELL_PAGE_BYTES)
		memory[at] = 0;
	*room = (struct cell_room) { memory, bytes };
}

void cell_room_done(struct cell_room *room)
{
	if (room->memory)
		standard.xFree(room->memory);
	*room = (struct cell_room) { 0 };
}

/* --- taking -----------------------------------------------------------------------------------*/

struct cell_image cell_image(struct cell *c, struct cell_room *room)
{
	size_t bytes = cell_image_bytes(c);
	sqlite3_int64 size = 0;

	assert(c->activity == CELL_IDLE && !cell_has_changes(c));
	cell_sweep(c);
	c->activity = CELL_TRUSTED;
	if (room && room->memory && room->bytes >= bytes) {
		offered = room;
		wanted_bytes = bytes;
	}
	uint8_t *pages = sqlite3_serialize(c->db, "main", &size, 0);
	offered = NULL;
	c->activity = CELL_IDLE;
	assert(pages && size > 0 && size <= CELL_IMAGE_BYTES_MAX);
	return (struct cell_image) { { pages, (size_t)size }, c->state };
}

void cell_image_done(struct cell_image *image)
{
	sqlite3_free((void *)(uintptr_t)image->pages.data);
	*image = (struct cell_image) { 0 };
}

/* --- loading ----------------------------------------------------------------------------------*/

/* A second, read-only database over the bytes of `pages`. */
static enum err open_image(struct slice pages, sqlite3 **ret, char why[CELL_WHY_BYTES])
{
	sqlite3 *db = NULL;
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_MEMORY | SQLITE_OPEN_NOMUTEX;

	if (pages.size < CELL_PAGE_BYTES || pages.size > CELL_IMAGE_BYTES_MAX ||
	    get_u16(pages.data + IMAGE_PAGE_SIZE_AT) != CELL_PAGE_BYTES ||
	    pages.size != (size_t)get_u32(pages.data + IMAGE_PAGE_COUNT_AT) * CELL_PAGE_BYTES) {
		cell_explain(why, "%zu bytes are no image of a cell", pages.size);
		return ERR_CORRUPT;
	}

	/* READONLY: SQLite never writes to the pages, so the cast takes nothing away. */
	int code = sqlite3_open_v2(":memory:", &db, flags, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_deserialize(db, "main", (void *)(uintptr_t)pages.data,
					   (sqlite3_int64)pages.size, (sqlite3_int64)pages.size,
					   SQLITE_DESERIALIZE_READONLY);
	if (code != SQLITE_OK) {
		cell_explain(why, "opening the image: %s", sqlite3_errmsg(db));
		sqlite3_close(db);
		return ERR_CORRUPT;
	}
	sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	*ret = db;
	return OK;
}

static enum err check_image(sqlite3 *db, struct hash128 expected, char why[CELL_WHY_BYTES])
{
	struct cell_catalogue catalogue;
	struct hash128 hash;
	enum err err = cell_catalogue_read(db, &catalogue, why);

	if (err)
		return err == ERR_UNSUPPORTED ? ERR_CORRUPT : err;
	err = recorder_hash(db, &catalogue, &hash);
	if (err)
		cell_explain(why, "reading the image: %s", sqlite3_errmsg(db));
	if (!err && !hash128_equal(hash, expected)) {
		cell_explain(why, "the rows of the image have another hash than its manifest");
		err = ERR_CORRUPT;
	}
	cell_catalogue_done(&catalogue);
	return err;
}

/* Copied into a plain memory database: one over the image's bytes would be slower to write. */
static void copy_database(struct cell *c, sqlite3 *from)
{
	sqlite3_backup *backup = sqlite3_backup_init(c->db, "main", from, "main");

	if (!backup)
		cell_expect(c, sqlite3_errcode(c->db));
	cell_expect(c, sqlite3_backup_step(backup, -1));
	cell_expect(c, sqlite3_backup_finish(backup));
}

enum err cell_load(struct cell *c, struct slice pages, struct cell_state state,
		   char why[CELL_WHY_BYTES])
{
	struct cell_catalogue catalogue;
	sqlite3 *image;

	assert(c->activity == CELL_IDLE);
	enum err err = open_image(pages, &image, why);
	if (err)
		return err;
	err = check_image(image, state.hash, why);
	if (err == OK) {
		cell_sweep(c);
		c->activity = CELL_TRUSTED;
		copy_database(c, image);
		err = cell_catalogue_read(c->db, &catalogue, why);
		assert(err == OK);
		cell_catalogue_done(&c->catalogue);
		c->catalogue = catalogue;
		c->activity = CELL_IDLE;
		buf_clear(&c->changes);
		c->record_tables = 0;
		c->state = state;
	}
	int code = sqlite3_close(image);
	assert(code == SQLITE_OK);
	return err;
}

/* The bytes of a cell record: header, changes, values.  See doc/formats/cell.md.
 *
 *	header	 magic u32 | version u16 | 0 u16 | bytes u32 | CRC-32C u32 | sequence u64 |
 *		 now_ms u64 | hash after 2 x u64 | name size u8 | name
 *	changes	 until the end of the record:
 *		 1 table   value columns u8 | name size u8 | name      numbers it 0, 1, 2, ...
 *		 2 insert  table u16 | rowid i64 | all values
 *		 3 update  table u16 | rowid i64 | columns bitmap u64 | values of those
 *		 4 move	   table u16 | old rowid i64 | then as update
 *		 5 delete  table u16 | rowid i64
 *		 6 schema  version u32 | name size u8 | name | size u32 | SQL	forgets the numbers
 *	value	 0 NULL | 1..8 an integer of that many bytes | 9 double | 10 text, size u8 |
 *		 11 text, size u32 | 12 blob, size u8 | 13 blob, size u32 */
#ifndef CELLS_CELL_RECORD_H
#define CELLS_CELL_RECORD_H

#include "cells/cell.h"

enum {
	CELL_RECORD_MAGIC = 0x48434c52, /* "HCLR" */
	CELL_RECORD_VERSION = 1,
	CELL_RECORD_HEADER_BYTES = 49, /* without the name */
};

enum cell_change_code {
	CHANGE_TABLE = 1,
	CHANGE_INSERT,
	CHANGE_UPDATE,
	CHANGE_MOVE,
	CHANGE_DELETE,
	CHANGE_SCHEMA,
};

enum cell_value_code {
	VALUE_NULL = 0, /* 1 to 8: an integer of so many bytes, as few as it needs */
	VALUE_DOUBLE = 9,
	VALUE_TEXT_SHORT,
	VALUE_TEXT,
	VALUE_BLOB_SHORT,
	VALUE_BLOB,
};

/* Append the header; what follows belongs to the changes until cell_record_finish(). */
size_t cell_record_begin(struct buf *b, const char *name, struct cell_state after);
void cell_record_finish(struct buf *b, size_t start);

/* A cursor over untrusted bytes: reading past the end makes it bad and yields zeros. */
struct cell_reader {
	struct slice rest;
	bool bad;
};

uint64_t cell_read_number(struct cell_reader *r, size_t size); /* big-endian, 1 to 8 bytes */
struct slice cell_read_bytes(struct cell_reader *r, size_t size);

/* One decoded change.  Values stay encoded: they are read one by one from the same reader, as many
 * as `columns` has bits. */
struct cell_decoded {
	enum cell_change_code code;
	unsigned table; /* insert, update, move, delete: an index into tables named so far */
	int64_t rowid, old_rowid;
	uint64_t columns;	/* update, move: which values follow */
	unsigned column_count;	/* table */
	uint32_t version;	/* schema */
	struct slice name, sql; /* table, schema */
};

/* False at the end or when the bytes are wrong (r->bad). */
bool cell_read_change(struct cell_reader *r, struct cell_decoded *ret);

/* Append the value; take one and bind it (borrowing the bytes), or skip it. */
void cell_value_add(struct buf *b, sqlite3_value *value);
void cell_value_bind(struct cell_reader *r, sqlite3_stmt *statement, int parameter);
void cell_value_skip(struct cell_reader *r);

#endif

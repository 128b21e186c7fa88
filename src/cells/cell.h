/* A cell: an SQLite database in memory with one writer, whose committed changes leave as records.
 *
 *	leader     cell_run() ... cell_run() -> cell_seal() -> one record -> the journal
 *	follower   the journal -> cell_apply() -> the same rows, the same hash
 *
 * One record carries the row changes of all transactions since the last seal (group commit).  The
 * database of a leader is ahead of durability: whoever answers a client waits until the record that
 * carries the change is committed in the journal.
 *
 * Rules inside a cell, refused at schema change where that is possible:
 *  - rowid tables only, at most CELL_COLUMNS_MAX columns, no column of REAL affinity, no generated
 *    columns, no AUTOINCREMENT; no triggers, no foreign keys, no virtual or temporary tables;
 *  - rows change only inside cell_run() and through statements of cell_statement();
 *  - a statement that fails fails its whole transaction: use INSERT ... ON CONFLICT DO NOTHING and
 *    sqlite3_changes(), or SELECT first, where "it is already there" is an outcome;
 *  - no BEGIN, SAVEPOINT, PRAGMA, ATTACH or DDL outside cell_change_schema().
 *
 * One thread at a time.  The record format is doc/formats/cell.md. */
#ifndef CELLS_CELL_H
#define CELLS_CELL_H

#include <sqlite3.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/slice.h"

enum {
	CELL_WHY_BYTES = 120,				   /* room for a sentence about a failure */
	CELL_NAME_BYTES_MAX = 64,			   /* names of cells and schemas */
	CELL_COLUMNS_MAX = 64,				   /* a table */
	CELL_SQL_BYTES_MAX = 64 * 1024,			   /* a statement, a schema step */
	CELL_VALUE_BYTES_MAX = 1024 * 1024,		   /* a value, and a row */
	CELL_TRANSACTION_BYTES_MAX = 4 * 1024 * 1024,	   /* what one cell_run() may change */
	CELL_RECORD_BYTES_MAX = 8 * 1024 * 1024,	   /* what one cell_seal() may return */
	CELL_IMAGE_BYTES_MAX = 1024 * 1024 * 1024,	   /* the whole database */
	CELL_RUN_BYTES_MAX = CELL_IMAGE_BYTES_MAX / 4 * 3, /* cell_run() may not grow it above */
	CELL_FREEING_BYTES = 16 * 1024 * 1024,		   /* but by so much, cell_let_free() */
};

struct cell;

/* What a record or an image leads to; equal states are equal cells. */
struct cell_state {
	uint64_t sequence;   /* records sealed or applied since the cell was new */
	uint64_t now_ms;     /* the time carried by the last record; never decreases */
	struct hash128 hash; /* of all rows and the schema, see cell_hash() */
};

/* One step of a schema's history.  `sql` is DDL only, any number of statements. */
struct cell_schema {
	const char *name; /* "streams" */
	int version;	  /* 1, 2, 3, ... */
	const char *sql;
};

/* --- life -------------------------------------------------------------------------------------*/

/* An empty cell; its name (1 to CELL_NAME_BYTES_MAX bytes) is in every record. */
struct cell *cell_new(const char *name);
void cell_free(struct cell *c);

const char *cell_name(const struct cell *c);

/* For sqlite3_changes(), and for reading with statements of one's own, which are reset before the
 * cell changes.  Never to be written with.
 */
sqlite3 *cell_database(struct cell *c);

/* --- statements -------------------------------------------------------------------------------*/

/* The statement of this text: prepared once, reset and cleared when handed out.  SQL that does not
 * compile is a bug and aborts.  Valid until the same text is asked for again, or until cell_run(),
 * cell_apply(), cell_change_schema(), cell_image() or cell_load() returns. */
sqlite3_stmt *cell_statement(struct cell *c, const char *sql);

/* Step: true if there is a row.  A failure is kept, ends the loop and makes cell_run() fail;
 * outside of cell_run() a failing SELECT is a bug and aborts. */
bool cell_next(struct cell *c, sqlite3_stmt *statement);

/* Step to the end, for statements without rows.  A failure also makes cell_run() fail. */
MUST_CHECK enum err cell_execute(struct cell *c, sqlite3_stmt *statement);

/* The same for a text with one parameter, or with two. */
MUST_CHECK enum err cell_execute_sql(struct cell *c, const char *sql, int64_t first,
				     int64_t second);

/* Parameters count from 1, columns from 0, as in SQLite.  What is bound is borrowed until the
 * statement is handed out again, and not longer than CELL_VALUE_BYTES_MAX (asserted: check sizes
 * from outside before); a column is valid until the next step. */
void cell_bind_int(sqlite3_stmt *statement, int parameter, int64_t value);
void cell_bind_text(sqlite3_stmt *statement, int parameter, struct slice text);
void cell_bind_blob(sqlite3_stmt *statement, int parameter, struct slice bytes);
struct slice cell_column_text(sqlite3_stmt *statement, int column);
struct slice cell_column_blob(sqlite3_stmt *statement, int column);

/* The only translation of SQLite's codes.  A broken constraint is ERR_CONFLICT. */
enum err err_from_sqlite(int code);

/* --- the leader's side ------------------------------------------------------------------------*/

/* One transaction.  When `run` fails or any statement in it failed, everything is rolled back, also
 * what was recorded, and the error is returned.  ERR_TOO_BIG above CELL_TRANSACTION_BYTES_MAX;
 * ERR_FULL if it makes a database above CELL_RUN_BYTES_MAX still bigger (deleting is possible);
 * ERR_BUSY when the record would be full: seal, then run again.  Does not nest. */
MUST_CHECK enum err cell_run(struct cell *c, enum err (*run)(struct cell *c, void *argument),
			     void *argument);

/* In a transaction that removes things, or marks what is to be removed: what it needs for that may
 * be up to CELL_FREEING_BYTES above CELL_RUN_BYTES_MAX. */
void cell_let_free(struct cell *c);

/* Was a transaction refused because the database is full, since this was asked last? */
bool cell_take_full(struct cell *c);

/* One schema step in a transaction of its own, recorded as its text.  ERR_CONFLICT unless its
 * version is the next one of its name; ERR_UNSUPPORTED if it breaks the rules above. */
MUST_CHECK enum err cell_change_schema(struct cell *c, const struct cell_schema *schema,
				       char why[CELL_WHY_BYTES]);

/* All steps that are not there yet; `steps` starts with version 1 and has no gaps.  ERR_UNSUPPORTED
 * when the cell is newer than the last step: a newer program wrote it. */
MUST_CHECK enum err cell_upgrade_schema(struct cell *c, const struct cell_schema *steps,
					size_t count, char why[CELL_WHY_BYTES]);

/* The last version of `name` applied here, 0 if none. */
int cell_schema_version(struct cell *c, const char *name);

/* Something was changed since the last seal, and about how many bytes the record will have. */
bool cell_has_changes(const struct cell *c);
size_t cell_change_bytes(const struct cell *c);

/* Append all changes since the last seal to `ret` as one record.  The record's time is `now_ms`, or
 * the time of the last one if that is later. */
void cell_seal(struct cell *c, uint64_t now_ms, struct buf *ret);

/* --- the follower's side ----------------------------------------------------------------------*/

/* Apply exactly one record, all or nothing: ERR_CORRUPT when its bytes, its order or the hash after
 * it are wrong, ERR_INVALID when it belongs to another cell, ERR_UNSUPPORTED when a newer program
 * wrote it.  After a failure the cell is as before; with a trusted journal that means divergence.
 * Must not be called with unsealed changes. */
MUST_CHECK enum err cell_apply(struct cell *c, struct slice record, char why[CELL_WHY_BYTES]);

enum cell_change_kind { CELL_INSERT, CELL_UPDATE, CELL_DELETE, CELL_SCHEMA };

struct cell_change {
	enum cell_change_kind kind;
	struct slice table; /* its name; of the schema for CELL_SCHEMA */
	int64_t rowid;	    /* the row, under its new number */
	int64_t old_rowid;  /* differs from rowid only when an update moved the row */
};

/* Somebody who is told about applied changes, in their order, after the whole record was applied.
 * May read the cell, must not change it. */
struct cell_watch {
	void (*on_change)(struct cell_watch *w, const struct cell_change *change);
	struct cell_watch *next; /* the cell's */
};

/* Embedded in its owner, who removes it before either dies. */
void cell_watch_add(struct cell *c, struct cell_watch *w);
void cell_watch_remove(struct cell *c, struct cell_watch *w);

/* The header of a record, checked like in cell_apply() but without looking at its changes. */
struct cell_record_header {
	struct slice cell_name;
	struct cell_state after;
	struct slice changes;
	size_t record_bytes; /* of the whole record; more may follow it */
};
MUST_CHECK enum err cell_record_read(struct slice bytes, struct cell_record_header *ret,
				     char why[CELL_WHY_BYTES]);

/* --- state and images -------------------------------------------------------------------------*/

struct cell_state cell_state(const struct cell *c);

/* The rolling content hash: the sum of the hashes of all rows, the applied schema steps among them,
 * so it does not depend on the order of changes.  Detects divergence; no defence against a forger.
 */
struct hash128 cell_hash(const struct cell *c);

/* Recompute the hash from all rows; ERR_CORRUPT if it is not cell_hash().  Reads everything. */
MUST_CHECK enum err cell_verify(struct cell *c);

/* The database's pages.  Must not be called with unsealed changes. */
struct cell_image {
	struct slice pages;
	struct cell_state state;
};

/* Room for an image of about this size, made on any thread; NULL and {0} are no room.  Filling it
 * is fast (at most 200 ms for the largest cell), making it is not. */
struct cell_room {
	void *memory;
	size_t bytes;
};
size_t cell_image_bytes(struct cell *c); /* of an image taken now */
size_t cell_room_bytes(struct cell *c);	 /* with some to spare, for one taken in a moment */
void cell_room_make(struct cell_room *room, size_t bytes);
void cell_room_done(struct cell_room *room);

/* Uses up `room` if it is there and large enough, else makes it now. */
struct cell_image cell_image(struct cell *c, struct cell_room *room);
void cell_image_done(struct cell_image *image);

/* Replace the contents.  ERR_CORRUPT, and the cell as before, unless `pages` are a database whose
 * recomputed hash is that of `state`.  Drops unsealed changes; watches stay and are not called. */
MUST_CHECK enum err cell_load(struct cell *c, struct slice pages, struct cell_state state,
			      char why[CELL_WHY_BYTES]);

#endif

/* What the files of the cell share.
 *
 *	cell.c		life, statements, transactions
 *	cell_image.c	the pages as bytes, and back
 *	cell_schema.c	which tables there are, which are allowed, schema steps
 *	cell_record.c	the bytes of a record and of a value
 *	recorder.c	row images from SQLite's pre-update hook, the hash, the seal
 *	apply.c		records to rows, watches */
#ifndef CELLS_CELL_PRIVATE_H
#define CELLS_CELL_PRIVATE_H

#include "base/map.h"
#include "cells/cell.h"
#include "cells/cell_record.h"

enum {
	CELL_TABLES_MAX = 256,
	CELL_STATEMENTS_MAX =
		2048,	       /* texts in the cache; more means somebody builds SQL at run time */
	CELL_UPDATES_KEPT = 8, /* prepared updates a table keeps, by changed columns */
	CELL_PAGE_BYTES = 4096,
	CELL_PAGES_MAX = CELL_IMAGE_BYTES_MAX / CELL_PAGE_BYTES,
	CELL_RUN_PAGES_MAX = CELL_RUN_BYTES_MAX / CELL_PAGE_BYTES,
};

/* The cell's own table: the schema steps applied, so that the hash covers them. */
#define CELL_SCHEMA_TABLE "cell_schema"

enum cell_activity {
	CELL_IDLE,
	CELL_RUNNING,  /* cell_run(): the hook records */
	CELL_APPLYING, /* cell_apply(): the hook keeps the hash */
	CELL_CHANGING, /* a schema step: row changes are refused */
	CELL_TRUSTED,  /* our own pragmas and rewrites: anything goes, unseen by the hook */
};

struct cell_update {
	uint64_t columns; /* bit i: value column i is set */
	bool is_move;	  /* the rowid too */
	sqlite3_stmt *statement;
};

/* The rowid alias (INTEGER PRIMARY KEY) is no value column: the rowid is stored anyway. */
struct cell_table {
	char *name;
	struct hash128 name_hash;
	unsigned column_count;			/* value columns */
	uint8_t column_index[CELL_COLUMNS_MAX]; /* value column -> column of the table */
	char *column_names[CELL_COLUMNS_MAX];
	int record_number; /* in the open record, -1 when it is not named there yet */
	sqlite3_stmt *insert, *delete;
	struct cell_update updates[CELL_UPDATES_KEPT];
	unsigned next_update; /* the one replaced next */
};

struct cell_catalogue {
	struct cell_table *tables;
	size_t count;
	struct map by_name;
};

struct cell_cached {
	char *sql;
	sqlite3_stmt *statement;
	struct cell_cached *next_out; /* list of those handed out since the last sweep */
	bool is_out;
};

struct cell {
	sqlite3 *db;
	char name[CELL_NAME_BYTES_MAX + 1];
	struct cell_catalogue catalogue;
	struct cell_catalogue old_catalogue; /* before the first schema step of the transaction */
	enum cell_activity activity;
	enum err failed;	   /* of the running transaction: the first failure */
	bool rows_changed;	   /* by a schema step, which must not */
	bool schema_changed;	   /* in this transaction: old_catalogue is set */
	bool table_altered;	   /* by this schema step: rows may lack the new column's default */
	uint64_t row_change_count; /* seen by the hook */

	struct cell_state state;  /* hash: with unsealed changes */
	struct buf changes;	  /* unsealed */
	size_t transaction_start; /* where those of the running transaction start */
	int record_tables;	  /* named in `changes` since its last schema step */
	struct buf old_row, new_row;

	struct map statements;
	struct cell_cached *out;
	sqlite3_stmt *begin, *commit, *rollback, *page_count;
	int64_t run_pages_max; /* CELL_RUN_PAGES_MAX, less in tests */
	bool was_full;	       /* see cell_take_full() */
	bool is_freeing;       /* cell_let_free(), of this transaction */
	struct cell_watch *watches;
};

/* cell.c */
void cell_expect(struct cell *c, int code); /* what must not fail: nothing from outside is in it */
int64_t cell_count_pages(struct cell *c);
void cell_sweep(struct cell *c); /* reset all statements that were handed out */
MUST_CHECK enum err cell_transaction_begin(struct cell *c, enum cell_activity activity);
MUST_CHECK enum err cell_transaction_commit(struct cell *c);
void cell_transaction_rollback(struct cell *c);
enum cell_activity cell_enter(struct cell *c, enum cell_activity activity); /* returns the last */
void cell_explain(char why[CELL_WHY_BYTES], const char *format, ...) PRINTF_LIKE(2, 3);

/* cell_schema.c */
void cell_catalogue_done(struct cell_catalogue *k);
struct cell_table *cell_catalogue_find(const struct cell_catalogue *k, struct slice name);
/* Read and check what `db` has; on failure *ret is untouched. */
MUST_CHECK enum err cell_catalogue_read(sqlite3 *db, struct cell_catalogue *ret,
					char why[CELL_WHY_BYTES]);
int cell_authorize(void *cell, int action, const char *first, const char *second,
		   const char *database, const char *trigger);
/* Inside a transaction: run the step, check the outcome, recompute the hash. */
MUST_CHECK enum err cell_schema_step(struct cell *c, struct slice name, int version,
				     struct slice sql, char why[CELL_WHY_BYTES]);

/* recorder.c */
void recorder_on_change(void *cell, sqlite3 *db, int operation, const char *database,
			const char *table, sqlite3_int64 old_rowid, sqlite3_int64 new_rowid);
void recorder_rewind(struct cell *c, size_t bytes, int tables);
void recorder_add_schema(struct cell *c, const struct cell_schema *schema);
void hash128_add(struct hash128 *sum, struct hash128 h);
void hash128_subtract(struct hash128 *sum, struct hash128 h);
/* The hash of everything in `db`, by reading it. */
MUST_CHECK enum err recorder_hash(sqlite3 *db, const struct cell_catalogue *k, struct hash128 *ret);

#endif

/* Random transactions, three ways:
 *
 *	a cell -> records -> another cell		what is tested
 *	a plain database that runs the same statements	what the contents must be
 *	its changesets (SQLite's session extension) -> a copy	a second opinion on row images */
#include "cells/cell_testing.h"

#include <stdio.h>

#include "base/hash.h"
#include "base/random.h"

enum { PARAMETERS = 5, STATEMENTS_MAX = 6, ROUNDS = 120 };

struct parameter {
	enum { AS_NULL, AS_INTEGER, AS_DOUBLE, AS_TEXT, AS_BLOB } kind;
	int64_t integer;
	double number;
	struct slice bytes;
};

struct order {
	const char *sql;
	struct parameter parameters[PARAMETERS];
};

struct transaction {
	struct order orders[STATEMENTS_MAX];
	size_t count;
	bool fails; /* on purpose, at its end */
};

struct world {
	struct prng prng;
	struct cell *leader, *follower;
	sqlite3 *plain, *copy;
	sqlite3_session *session;
	int version;
	int committed, refused;
};

static const struct cell_schema steps[] = {
	{ "test", 1,
	  "CREATE TABLE pair(key BLOB NOT NULL PRIMARY KEY, a INTEGER, b TEXT, c BLOB);"
	  "CREATE INDEX pair_a ON pair(a) WHERE a > 10;"
	  "CREATE TABLE numbered(id INTEGER PRIMARY KEY, n INTEGER, t TEXT);"
	  "CREATE TABLE loose(x, y NUMERIC, z TEXT UNIQUE, UNIQUE(x, y))" },
	{ "test", 2,
	  "ALTER TABLE pair ADD COLUMN d INTEGER NOT NULL DEFAULT 7;"
	  "ALTER TABLE numbered ADD COLUMN u TEXT DEFAULT 'u'" },
	{ "test", 3, "CREATE INDEX numbered_n ON numbered(n, t); DROP INDEX pair_a" },
};

/* ?1 is a key out of few, ?2 a row number, the rest anything. */
static const char *const statements[] = {
	"INSERT INTO pair(key, a, b, c) VALUES (?1, ?3, ?4, ?5)",
	"INSERT OR REPLACE INTO pair(key, a, b, c) VALUES (?1, ?3, ?4, ?5)",
	"INSERT OR IGNORE INTO pair(key, a, b, c) VALUES (?1, ?3, ?4, ?5)",
	"INSERT INTO pair(key, a) VALUES (?1, ?3) ON CONFLICT DO UPDATE SET a = excluded.a, c = 1",
	"UPDATE pair SET a = ?3, b = ?4 WHERE key >= ?1",
	"UPDATE pair SET c = ?5 WHERE key = ?1",
	"UPDATE pair SET key = x'00' || key WHERE key < ?1 AND length(key) < 9",
	"DELETE FROM pair WHERE key = ?1",
	"DELETE FROM pair WHERE key > ?1",
	"INSERT INTO numbered(id, n, t) VALUES (?2, ?3, ?4)",
	"INSERT OR REPLACE INTO numbered(id, n, t) VALUES (?2, ?3, ?4)",
	"INSERT INTO numbered(n, t) SELECT n, t FROM numbered WHERE id > ?2 LIMIT 4",
	"UPDATE OR REPLACE numbered SET id = id + 3 WHERE id = ?2",
	"UPDATE numbered SET n = n / 2.0 WHERE id > ?2",
	"UPDATE numbered SET n = n WHERE id > ?2",
	"DELETE FROM numbered WHERE id BETWEEN ?2 AND ?2 + 2",
	"DELETE FROM numbered",
	"INSERT INTO loose VALUES (?3, ?4, ?1)",
	"INSERT OR REPLACE INTO loose VALUES (?4, ?3, ?1)",
	"INSERT OR REPLACE INTO loose(rowid, x, y, z) VALUES (?2, ?5, ?3, ?1)",
	"INSERT INTO loose(x, y) VALUES (?1, ?3), (?1, ?4), (?1, ?5)",
	"UPDATE loose SET rowid = ?2 WHERE z = ?1",
	"UPDATE OR REPLACE loose SET x = 1, y = 2 WHERE z > ?1",
	"DELETE FROM loose WHERE rowid < ?2",
};

static uint64_t below(struct world *w, uint64_t bound)
{
	return prng_below(&w->prng, bound);
}

/* Bytes of any content, borrowed from a table. */
static struct slice random_slice(struct world *w)
{
	static uint8_t bytes[70000];
	static const size_t sizes_max[] = { 1, 8, 8, 40, 40, 300, 5000, 60000 };
	uint64_t kind = below(w, 200);
	size_t size = (size_t)below(w, sizes_max[kind < 8 ? kind : kind % 5] + 1);

	for (size_t i = 0; bytes[0] == 0 && i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(1 + below(w, 255));
	return (struct slice) { bytes + below(w, 10000), size };
}

static struct parameter random_parameter(struct world *w)
{
	static const int64_t edges[] = { 0,	-1,    127,	  128,	     -128,	-129,
					 32768, 65535, 1LL << 40, INT64_MAX, INT64_MIN, 8388607 };
	struct parameter p = { .kind = AS_INTEGER };

	switch (below(w, 8)) {
	case 0:
		p.kind = AS_NULL;
		break;
	case 1:
		p.kind = AS_DOUBLE;
		p.number = below(w, 3) ? (double)(int64_t)below(w, 100) / 8 : -1e300;
		break;
	case 2:
	case 3:
		p.kind = AS_TEXT;
		p.bytes = random_slice(w);
		break;
	case 4:
		p.kind = AS_BLOB;
		p.bytes = random_slice(w);
		break;
	case 5:
		p.integer = edges[below(w, sizeof(edges) / sizeof(edges[0]))];
		break;
	default:
		p.integer = (int64_t)below(w, 50) - 10;
	}
	return p;
}

static struct transaction random_transaction(struct world *w)
{
	static const char keys[] = "abcdefghijkl";
	struct transaction t = { .count = 1 + (size_t)below(w, STATEMENTS_MAX),
				 .fails = below(w, 10) == 0 };

	for (size_t i = 0; i < t.count; i++) {
		struct order *o = &t.orders[i];
		size_t count = sizeof(statements) / sizeof(statements[0]);
		o->sql = statements[below(w, count)];
		o->parameters[0] = (struct parameter) {
			.kind = AS_BLOB,
			.bytes = { (const uint8_t *)keys + below(w, 12), 1 },
		};
		o->parameters[1] = (struct parameter) {
			.kind = AS_INTEGER,
			.integer = (int64_t)below(w, 30) - 10,
		};
		for (int j = 2; j < PARAMETERS; j++)
			o->parameters[j] = random_parameter(w);
	}
	return t;
}

static void bind(sqlite3_stmt *statement, const struct order *o)
{
	for (int i = 1; i <= sqlite3_bind_parameter_count(statement); i++) {
		const struct parameter *p = &o->parameters[i - 1];
		const void *bytes = p->bytes.data;
		int code = SQLITE_OK;
		switch (p->kind) {
		case AS_NULL:
			break;
		case AS_INTEGER:
			code = sqlite3_bind_int64(statement, i, p->integer);
			break;
		case AS_DOUBLE:
			code = sqlite3_bind_double(statement, i, p->number);
			break;
		case AS_TEXT:
			code = sqlite3_bind_text(statement, i, bytes, (int)p->bytes.size, NULL);
			break;
		case AS_BLOB:
			code = sqlite3_bind_blob(statement, i, bytes, (int)p->bytes.size, NULL);
			break;
		}
		assert_int_equal(code, SQLITE_OK);
	}
}

static enum err run_in_cell(struct cell *c, void *argument)
{
	const struct transaction *t = argument;

	for (size_t i = 0; i < t->count; i++) {
		sqlite3_stmt *statement = cell_statement(c, t->orders[i].sql);
		bind(statement, &t->orders[i]);
		enum err err = cell_execute(c, statement);
		if (err)
			return err;
	}
	return t->fails ? ERR_CANCELED : OK;
}

static void plainly(sqlite3 *db, const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
}

static enum err run_plainly(sqlite3 *db, const struct transaction *t)
{
	enum err err = OK;

	plainly(db, "BEGIN");
	for (size_t i = 0; i < t->count && err == OK; i++) {
		sqlite3_stmt *statement;
		int code = sqlite3_prepare_v2(db, t->orders[i].sql, -1, &statement, NULL);
		assert_int_equal(code, SQLITE_OK);
		bind(statement, &t->orders[i]);
		err = err_from_sqlite(sqlite3_step(statement));
		sqlite3_finalize(statement);
	}
	if (err == OK && t->fails)
		err = ERR_CANCELED;
	plainly(db, err ? "ROLLBACK" : "COMMIT");
	return err;
}

static void run_transaction(struct world *w)
{
	struct transaction t = random_transaction(w);
	struct hash128 hash = cell_hash(w->leader);
	size_t bytes = cell_change_bytes(w->leader);
	enum err expected = run_plainly(w->plain, &t);
	enum err err = cell_run(w->leader, run_in_cell, &t);

	assert_int_equal(err, expected);
	if (err) {
		assert_true(hash128_equal(cell_hash(w->leader), hash));
		assert_int_equal(cell_change_bytes(w->leader), bytes);
		w->refused++;
	} else {
		w->committed++;
	}
}

static int refuse_conflicts(void *unused, int conflict, sqlite3_changeset_iter *iterator)
{
	(void)unused, (void)conflict, (void)iterator;
	return SQLITE_CHANGESET_ABORT;
}

/* What the session extension saw goes to the copy. */
static void copy_changeset(struct world *w)
{
	void *changeset = NULL;
	int size = 0;

	assert_int_equal(sqlite3session_changeset(w->session, &size, &changeset), SQLITE_OK);
	int code = sqlite3changeset_apply(w->copy, size, changeset, NULL, refuse_conflicts, NULL);
	assert_int_equal(code, SQLITE_OK);
	sqlite3_free(changeset);
	sqlite3session_delete(w->session);
	w->session = NULL;
}

static void start_session(struct world *w)
{
	assert_int_equal(sqlite3session_create(w->plain, "main", &w->session), SQLITE_OK);
	assert_int_equal(sqlite3session_attach(w->session, NULL), SQLITE_OK);
}

static void compare(struct world *w)
{
	static const char *const with_rows[] = {
		"SELECT rowid, * FROM pair ORDER BY rowid",
		"SELECT * FROM numbered ORDER BY id",
		"SELECT rowid, * FROM loose ORDER BY rowid",
	};
	static const char *const without_rows[] = {
		"SELECT * FROM pair ORDER BY key",
		"SELECT * FROM numbered ORDER BY id",
	};
	sqlite3 *follower = cell_database(w->follower);

	for (size_t i = 0; i < sizeof(with_rows) / sizeof(with_rows[0]); i++) {
		testing_same(cell_database(w->leader), w->plain, with_rows[i]);
		testing_same(follower, w->plain, with_rows[i]);
	}
	/* The table without a primary key is invisible to sessions. */
	for (size_t i = 0; i < sizeof(without_rows) / sizeof(without_rows[0]); i++)
		testing_same(follower, w->copy, without_rows[i]);
	assert_int_equal(cell_verify(w->leader), OK);
	assert_int_equal(cell_verify(w->follower), OK);
	plainly(follower, "SELECT 1"); /* reading with one's own statements is allowed */
}

static void seal_and_apply(struct world *w)
{
	struct buf record;

	buf_init(&record);
	cell_seal(w->leader, 1, &record);
	testing_apply(w->follower, buf_slice(&record));
	buf_done(&record);
	copy_changeset(w);
	compare(w);
	start_session(w);
}

/* Sessions do not survive ALTER TABLE: the copy starts again from equal contents. */
static void change_schema(struct world *w)
{
	char why[CELL_WHY_BYTES];

	run_transaction(w); /* in the same record as the schema change */
	sqlite3session_delete(w->session);
	assert_int_equal(cell_change_schema(w->leader, &steps[w->version], why), OK);
	plainly(w->plain, steps[w->version++].sql);
	/* Without this the session would see NULL where a column has its default. */
	plainly(w->plain, "UPDATE pair SET a = a; UPDATE numbered SET n = n");
	run_transaction(w);
	sqlite3_backup *backup = sqlite3_backup_init(w->copy, "main", w->plain, "main");
	assert_non_null(backup);
	assert_int_equal(sqlite3_backup_step(backup, -1), SQLITE_DONE);
	assert_int_equal(sqlite3_backup_finish(backup), SQLITE_OK);
	start_session(w);
}

static void run_world(uint64_t seed)
{
	struct world w = { .prng = { seed } };

	w.leader = cell_new("test");
	w.follower = cell_new("test");
	assert_int_equal(sqlite3_open(":memory:", &w.plain), SQLITE_OK);
	assert_int_equal(sqlite3_open(":memory:", &w.copy), SQLITE_OK);
	testing_schema(w.leader, 1, steps[0].sql);
	plainly(w.plain, steps[0].sql);
	plainly(w.copy, steps[0].sql);
	w.version = 1;
	start_session(&w);
	for (int round = 0; round < ROUNDS; round++) {
		for (uint64_t i = below(&w, 6); i > 0; i--)
			run_transaction(&w);
		if ((size_t)w.version < sizeof(steps) / sizeof(steps[0]) && below(&w, 40) == 0)
			change_schema(&w);
		else
			seal_and_apply(&w);
	}
	assert_true(w.committed > ROUNDS / 2 && w.refused > ROUNDS / 20);
	sqlite3session_delete(w.session);
	sqlite3_close(w.plain);
	sqlite3_close(w.copy);
	cell_free(w.leader);
	cell_free(w.follower);
}

static void test_random_transactions_arrive_as_they_happened(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 4; seed++)
		run_world(seed);
}

static void test_hash_sums_carry_and_borrow(void **state)
{
	struct cell *c = cell_new("test");
	struct buf record;

	/* Many rows in and out again, in another order. */
	(void)state;
	buf_init(&record);
	testing_schema(c, 1, "CREATE TABLE t(a)");
	cell_seal(c, 0, &record);
	struct hash128 empty = cell_hash(c);
	testing_do(c, "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n LIMIT 999)"
		      " INSERT INTO t SELECT i FROM n");
	testing_do(c, "DELETE FROM t WHERE a % 3 = 1");
	testing_do(c, "DELETE FROM t WHERE a % 2 = 1");
	assert_int_equal(cell_verify(c), OK);
	testing_do(c, "DELETE FROM t");
	assert_true(hash128_equal(cell_hash(c), empty));
	buf_done(&record);
	cell_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_transactions_arrive_as_they_happened),
		cmocka_unit_test(test_hash_sums_carry_and_borrow),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

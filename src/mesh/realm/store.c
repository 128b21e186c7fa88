#include "mesh/realm/store.h"

#include <stdio.h>

#include "base/text.h"

/* --- settings ----------------------------------------------------------------------------------
 */

enum err store_get(struct arena *a, struct cell *cell, const char *name, struct slice *ret)
{
	sqlite3_stmt *s = cell_statement(cell, "SELECT value FROM setting WHERE name = ?");

	cell_bind_text(s, 1, slice_from(name));
	if (!cell_next(cell, s))
		return ERR_NOT_FOUND;
	*ret = arena_copy(a, cell_column_blob(s, 0));
	return OK;
}

enum err store_set(struct cell *cell, const char *name, struct slice value)
{
	sqlite3_stmt *s =
		cell_statement(cell, "INSERT INTO setting (name, value) VALUES (?, ?)"
				     " ON CONFLICT (name) DO UPDATE SET value = excluded.value");

	cell_bind_text(s, 1, slice_from(name));
	cell_bind_blob(s, 2, value);
	return cell_execute(cell, s);
}

static enum err set_counter(struct cell *cell, const char *name, int64_t last)
{
	sqlite3_stmt *s =
		cell_statement(cell, "INSERT INTO counter (name, last) VALUES (?, ?)"
				     " ON CONFLICT (name) DO UPDATE SET last = excluded.last");

	cell_bind_text(s, 1, slice_from(name));
	cell_bind_int(s, 2, last);
	return cell_execute(cell, s);
}

static int64_t get_counter(struct cell *cell, const char *name)
{
	sqlite3_stmt *s = cell_statement(cell, "SELECT last FROM counter WHERE name = ?");

	cell_bind_text(s, 1, slice_from(name));
	return cell_next(cell, s) ? sqlite3_column_int64(s, 0) : 0;
}

enum err store_count(struct cell *cell, const char *name, int64_t *ret)
{
	int64_t next = get_counter(cell, name) + 1;

	enum err err = set_counter(cell, name, next);
	if (!err)
		*ret = next;
	return err;
}

/* How many rows a table has. */
static int64_t count_rows(struct cell *cell, const char *sql)
{
	sqlite3_stmt *s = cell_statement(cell, sql);

	return cell_next(cell, s) ? sqlite3_column_int64(s, 0) : 0;
}

/* --- users -------------------------------------------------------------------------------------
 */

enum err store_user(struct arena *a, struct cell *cell, int64_t id, struct user_row *ret)
{
	sqlite3_stmt *s = cell_statement(cell, "SELECT login, display FROM user WHERE id = ?");

	cell_bind_int(s, 1, id);
	if (!cell_next(cell, s))
		return ERR_NOT_FOUND;
	ret->id = id;
	ret->login = arena_copy(a, cell_column_text(s, 0));
	ret->display = arena_copy(a, cell_column_text(s, 1));
	return OK;
}

enum err store_user_of(struct cell *cell, struct slice login, int64_t now_s, int64_t *ret)
{
	sqlite3_stmt *s = cell_statement(cell, "SELECT id FROM user WHERE login = ?");

	cell_bind_text(s, 1, login);
	if (cell_next(cell, s)) {
		*ret = sqlite3_column_int64(s, 0);
		return OK;
	}
	if (count_rows(cell, "SELECT count(*) FROM user") >= STORE_USERS_MAX)
		return ERR_FULL;
	s = cell_statement(cell, "INSERT INTO user (login, display, created_s) VALUES (?, ?, ?)");
	cell_bind_text(s, 1, login);
	cell_bind_text(s, 2, login);
	cell_bind_int(s, 3, now_s);
	enum err err = cell_execute(cell, s);
	if (!err)
		*ret = sqlite3_last_insert_rowid(cell_database(cell));
	return err;
}

void store_users(struct arena *a, struct cell *cell, struct user_row **ret, size_t *ret_count)
{
	size_t max = (size_t)count_rows(cell, "SELECT count(*) FROM user"), count = 0;
	struct user_row *rows = arena_take_array(a, max + 1, sizeof(*rows));
	sqlite3_stmt *s = cell_statement(cell, "SELECT id, login, display FROM user ORDER BY id");

	while (count < max && cell_next(cell, s)) {
		rows[count].id = sqlite3_column_int64(s, 0);
		rows[count].login = arena_copy(a, cell_column_text(s, 1));
		rows[count].display = arena_copy(a, cell_column_text(s, 2));
		count++;
	}
	*ret = rows;
	*ret_count = count;
}

/* --- join keys ---------------------------------------------------------------------------------
 */

#define KEY_COLUMNS                                                                                \
	"id, hash, hint, description, user, tags, uses_max, uses, created_s, expiry_s,"            \
	" revoked_s, is_ephemeral, is_preapproved"

static void read_key(struct arena *a, sqlite3_stmt *s, struct key_row *ret)
{
	struct slice hash = cell_column_blob(s, 1);

	*ret = (struct key_row) {
		.id = sqlite3_column_int64(s, 0),
		.hint = arena_copy(a, cell_column_text(s, 2)),
		.description = arena_copy(a, cell_column_text(s, 3)),
		.user = sqlite3_column_int64(s, 4),
		.tags = arena_copy(a, cell_column_text(s, 5)),
		.uses_max = sqlite3_column_int64(s, 6),
		.uses = sqlite3_column_int64(s, 7),
		.created_s = sqlite3_column_int64(s, 8),
		.expiry_s = sqlite3_column_int64(s, 9),
		.revoked_s = sqlite3_column_int64(s, 10),
		.is_ephemeral = sqlite3_column_int(s, 11),
		.is_preapproved = sqlite3_column_int(s, 12),
	};
	if (hash.size == STORE_HASH_BYTES)
		memcpy(ret->hash, hash.data, STORE_HASH_BYTES);
}

enum err store_key_by_secret(struct arena *a, struct cell *cell, struct slice secret,
			     struct key_row *ret)
{
	sqlite3_stmt *s =
		cell_statement(cell, "SELECT " KEY_COLUMNS " FROM join_key WHERE hash = ?");
	uint8_t hash[STORE_HASH_BYTES];

	store_key_hash(secret, hash);
	cell_bind_blob(s, 1, (struct slice) { hash, sizeof(hash) });
	if (!cell_next(cell, s))
		return ERR_NOT_FOUND;
	read_key(a, s, ret);
	return OK;
}

enum err store_key(struct arena *a, struct cell *cell, int64_t id, struct key_row *ret)
{
	sqlite3_stmt *s = cell_statement(cell, "SELECT " KEY_COLUMNS " FROM join_key WHERE id = ?");

	cell_bind_int(s, 1, id);
	if (!cell_next(cell, s))
		return ERR_NOT_FOUND;
	read_key(a, s, ret);
	return OK;
}

void store_keys(struct arena *a, struct cell *cell, struct key_row **ret, size_t *ret_count)
{
	size_t max = (size_t)count_rows(cell, "SELECT count(*) FROM join_key"), count = 0;
	struct key_row *rows = arena_take_array(a, max + 1, sizeof(*rows));
	sqlite3_stmt *s = cell_statement(cell, "SELECT " KEY_COLUMNS " FROM join_key ORDER BY id");

	while (count < max && cell_next(cell, s))
		read_key(a, s, &rows[count++]);
	*ret = rows;
	*ret_count = count;
}

/* Those that cannot be used any more make room. */
static enum err forget_keys(struct cell *cell, int64_t now_s)
{
	sqlite3_stmt *s = cell_statement(cell, "DELETE FROM join_key WHERE revoked_s > 0"
					       " OR (expiry_s > 0 AND expiry_s < ?)"
					       " OR (uses_max > 0 AND uses >= uses_max)");

	cell_bind_int(s, 1, now_s);
	return cell_execute(cell, s);
}

static void bind_key(sqlite3_stmt *s, const struct key_row *key)
{
	cell_bind_int(s, 1, key->id);
	cell_bind_blob(s, 2, (struct slice) { key->hash, sizeof(key->hash) });
	cell_bind_text(s, 3, key->hint);
	cell_bind_text(s, 4, key->description);
	cell_bind_int(s, 5, key->user);
	cell_bind_text(s, 6, key->tags);
	cell_bind_int(s, 7, key->uses_max);
	cell_bind_int(s, 8, key->uses);
	cell_bind_int(s, 9, key->created_s);
	cell_bind_int(s, 10, key->expiry_s);
	cell_bind_int(s, 11, key->revoked_s);
	cell_bind_int(s, 12, key->is_ephemeral);
	cell_bind_int(s, 13, key->is_preapproved);
}

enum err store_key_put(struct cell *cell, struct key_row *key, int64_t now_s)
{
	enum err err = OK;

	if (key->id == 0) {
		if (count_rows(cell, "SELECT count(*) FROM join_key") >= STORE_KEYS_MAX)
			err = forget_keys(cell, now_s);
		if (!err && count_rows(cell, "SELECT count(*) FROM join_key") >= STORE_KEYS_MAX)
			err = ERR_FULL;
		if (!err)
			err = store_count(cell, "join_key", &key->id);
		if (err)
			return err;
	}
	sqlite3_stmt *s =
		cell_statement(cell,
			       "INSERT INTO join_key (" KEY_COLUMNS
			       ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
			       " ?, ?, ?) ON CONFLICT (id) DO UPDATE SET uses = excluded.uses,"
			       " revoked_s = excluded.revoked_s");
	bind_key(s, key);
	return cell_execute(cell, s);
}

/* --- relays and servers ------------------------------------------------------------------------
 */

#define RELAY_COLUMNS                                                                              \
	"name, region, code, title, host, ipv4, ipv6, cert_name, relay_port, stun_port, "          \
	"is_insecure, second_stun_port"

static struct relay_row relay_of(struct arena *a, sqlite3_stmt *s)
{
	return (struct relay_row) {
		.name = arena_copy(a, cell_column_text(s, 0)),
		.region = sqlite3_column_int(s, 1),
		.code = arena_copy(a, cell_column_text(s, 2)),
		.title = arena_copy(a, cell_column_text(s, 3)),
		.host = arena_copy(a, cell_column_text(s, 4)),
		.ipv4 = arena_copy(a, cell_column_text(s, 5)),
		.ipv6 = arena_copy(a, cell_column_text(s, 6)),
		.cert_name = arena_copy(a, cell_column_text(s, 7)),
		.relay_port = sqlite3_column_int(s, 8),
		.stun_port = sqlite3_column_int(s, 9),
		.is_insecure = sqlite3_column_int(s, 10),
		.second_stun_port = sqlite3_column_int(s, 11),
	};
}

void store_relays(struct arena *a, struct cell *cell, struct relay_row **ret, size_t *ret_count)
{
	struct relay_row *rows = arena_take_array(a, STORE_RELAYS_MAX, sizeof(*rows));
	sqlite3_stmt *s =
		cell_statement(cell, "SELECT " RELAY_COLUMNS " FROM relay WHERE is_removed = 0"
				     " ORDER BY region, name");
	size_t count = 0;

	for (; count < STORE_RELAYS_MAX && cell_next(cell, s); count++)
		rows[count] = relay_of(a, s);
	*ret = rows;
	*ret_count = count;
}

enum err store_removed_relay(struct arena *a, struct cell *cell, struct slice name,
			     struct relay_row *ret)
{
	sqlite3_stmt *s = cell_statement(cell, "SELECT " RELAY_COLUMNS
					       " FROM relay WHERE name = ? AND is_removed = 1");

	cell_bind_text(s, 1, name);
	if (!cell_next(cell, s))
		return ERR_NOT_FOUND;
	*ret = relay_of(a, s);
	return OK;
}

static enum err make_room_for_relay(struct cell *cell)
{
	enum err err = OK;

	if (count_rows(cell, "SELECT count(*) FROM relay") >= STORE_RELAYS_MAX)
		err = cell_execute(cell,
				   cell_statement(cell, "DELETE FROM relay WHERE is_removed = 1"));
	if (!err && count_rows(cell, "SELECT count(*) FROM relay") >= STORE_RELAYS_MAX)
		return ERR_FULL;
	return err;
}

enum err store_relay_put(struct cell *cell, const struct relay_row *relay)
{
	sqlite3_stmt *known = cell_statement(cell, "SELECT 1 FROM relay WHERE name = ?");
	cell_bind_text(known, 1, relay->name);
	if (!cell_next(cell, known)) {
		enum err err = make_room_for_relay(cell);
		if (err)
			return err;
	}
	sqlite3_stmt *s = cell_statement(
		cell,
		"INSERT INTO relay (name, region, code, title, host, ipv4, ipv6, cert_name,"
		" relay_port, stun_port, is_insecure, second_stun_port)"
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
		" ON CONFLICT (name) DO UPDATE SET region = excluded.region, code = excluded.code,"
		" title = excluded.title, host = excluded.host, ipv4 = excluded.ipv4,"
		" ipv6 = excluded.ipv6, cert_name = excluded.cert_name,"
		" relay_port = excluded.relay_port, stun_port = excluded.stun_port,"
		" is_insecure = excluded.is_insecure,"
		" second_stun_port = excluded.second_stun_port, is_removed = 0");
	cell_bind_text(s, 1, relay->name);
	cell_bind_int(s, 2, relay->region);
	cell_bind_text(s, 3, relay->code);
	cell_bind_text(s, 4, relay->title);
	cell_bind_text(s, 5, relay->host);
	cell_bind_text(s, 6, relay->ipv4);
	cell_bind_text(s, 7, relay->ipv6);
	cell_bind_text(s, 8, relay->cert_name);
	cell_bind_int(s, 9, relay->relay_port);
	cell_bind_int(s, 10, relay->stun_port);
	cell_bind_int(s, 11, relay->is_insecure);
	cell_bind_int(s, 12, relay->second_stun_port);
	return cell_execute(cell, s);
}

enum err store_relay_remove(struct cell *cell, struct slice name)
{
	sqlite3_stmt *s =
		cell_statement(cell,
			       "UPDATE relay SET is_removed = 1 WHERE name = ? AND is_removed = 0");

	cell_bind_text(s, 1, name);
	enum err err = cell_execute(cell, s);
	if (err)
		return err;
	return sqlite3_changes(cell_database(cell)) ? OK : ERR_NOT_FOUND;
}

void store_servers(struct arena *a, struct cell *cell, struct server_row **ret, size_t *ret_count)
{
	struct server_row *rows = arena_take_array(a, STORE_SERVERS_MAX, sizeof(*rows));
	sqlite3_stmt *s = cell_statement(cell, "SELECT address, url FROM server ORDER BY id");
	size_t count = 0;

	for (; count < STORE_SERVERS_MAX && cell_next(cell, s); count++) {
		rows[count].address = arena_copy(a, cell_column_text(s, 0));
		rows[count].url = arena_copy(a, cell_column_text(s, 1));
	}
	*ret = rows;
	*ret_count = count;
}

/* The one that was told of first makes room for a new one: it is most likely gone. */
static enum err forget_oldest_server(struct cell *cell, struct slice address)
{
	sqlite3_stmt *known = cell_statement(cell, "SELECT 1 FROM server WHERE address = ?");

	cell_bind_text(known, 1, address);
	if (cell_next(cell, known) ||
	    count_rows(cell, "SELECT count(*) FROM server") < STORE_SERVERS_MAX)
		return OK;
	return cell_execute(cell, cell_statement(cell, "DELETE FROM server WHERE id ="
						       " (SELECT min(id) FROM server)"));
}

enum err store_server_put(struct cell *cell, const struct server_row *server)
{
	enum err err = forget_oldest_server(cell, server->address);
	if (err)
		return err;
	sqlite3_stmt *s =
		cell_statement(cell, "INSERT INTO server (address, url) VALUES (?, ?)"
				     " ON CONFLICT (address) DO UPDATE SET url = excluded.url");
	cell_bind_text(s, 1, server->address);
	cell_bind_text(s, 2, server->url);
	return cell_execute(cell, s);
}

enum err store_server_remove(struct cell *cell, struct slice address)
{
	sqlite3_stmt *s = cell_statement(cell, "DELETE FROM server WHERE address = ?");

	cell_bind_text(s, 1, address);
	return cell_execute(cell, s);
}

/* --- texts -------------------------------------------------------------------------------------
 */

struct slice *store_lines(struct arena *a, struct slice text, size_t *ret_count)
{
	size_t max = 1, count = 0;

	for (size_t i = 0; i < text.size; i++)
		max += text.data[i] == '\n';
	struct slice *lines = arena_take_array(a, max, sizeof(*lines));
	while (text.size) {
		struct slice line = slice_cut(&text, '\n');

		if (line.size)
			lines[count++] = line;
	}
	*ret_count = count;
	return lines;
}

struct slice store_join(struct arena *a, const struct slice *lines, size_t count)
{
	struct buf text;

	buf_init(&text);
	for (size_t i = 0; i < count; i++) {
		if (i)
			buf_add_u8(&text, '\n');
		buf_add_slice(&text, lines[i]);
	}
	struct slice ret = arena_copy(a, buf_slice(&text));
	buf_done(&text);
	return ret;
}

bool store_has_line(struct slice text, struct slice line)
{
	while (text.size)
		if (slice_equal(slice_cut(&text, '\n'), line))
			return true;
	return false;
}

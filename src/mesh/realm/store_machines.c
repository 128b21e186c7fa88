#include <stdio.h>

#include "base/text.h"
#include "mesh/realm/addresses.h"
#include "mesh/realm/names.h"
#include "mesh/realm/store.h"
#include "wire/crypto/blake2s.h"

void store_key_hash(struct slice secret, uint8_t ret[STORE_HASH_BYTES])
{
	_Static_assert((int)STORE_HASH_BYTES == (int)BLAKE2S_BYTES, "one hash of a secret");
	blake2s_hash(SLICE("hanse join key 1\n"), secret, ret);
}

#define COLUMNS                                                                                    \
	"id, user, name, machine_key, node_key, v4, version, created_s, expiry_s, seen_s,"         \
	" is_named, is_authorized, is_ephemeral, tags, hostinfo, routes"

static struct mesh_key column_key(sqlite3_stmt *s, int column)
{
	struct slice bytes = cell_column_blob(s, column);
	struct mesh_key key = { { 0 } };

	if (bytes.size == sizeof(key.bytes))
		memcpy(key.bytes, bytes.data, bytes.size);
	return key;
}

static void read_machine(struct arena *a, sqlite3_stmt *s, struct machine_row *ret)
{
	*ret = (struct machine_row) {
		.id = sqlite3_column_int64(s, 0),
		.user = sqlite3_column_int64(s, 1),
		.name = arena_copy(a, cell_column_text(s, 2)),
		.machine = column_key(s, 3),
		.node = column_key(s, 4),
		.v4 = (uint32_t)sqlite3_column_int64(s, 5),
		.version = (uint32_t)sqlite3_column_int64(s, 6),
		.created_s = sqlite3_column_int64(s, 7),
		.expiry_s = sqlite3_column_int64(s, 8),
		.seen_s = sqlite3_column_int64(s, 9),
		.is_named = sqlite3_column_int(s, 10),
		.is_authorized = sqlite3_column_int(s, 11),
		.is_ephemeral = sqlite3_column_int(s, 12),
		.tags = arena_copy(a, cell_column_text(s, 13)),
		.hostinfo = arena_copy(a, cell_column_text(s, 14)),
		.routes = arena_copy(a, cell_column_text(s, 15)),
	};
}

/* --- finding -----------------------------------------------------------------------------------
 */

static enum err read_one(struct arena *a, struct cell *cell, sqlite3_stmt *s,
			 struct machine_row *ret)
{
	if (!cell_next(cell, s))
		return ERR_NOT_FOUND;
	read_machine(a, s, ret);
	return OK;
}

enum err store_machine(struct arena *a, struct cell *cell, int64_t id, struct machine_row *ret)
{
	sqlite3_stmt *s = cell_statement(cell, "SELECT " COLUMNS " FROM machine WHERE id = ?");

	cell_bind_int(s, 1, id);
	return read_one(a, cell, s, ret);
}

enum err store_machine_by_node(struct arena *a, struct cell *cell, const struct mesh_key *node,
			       struct machine_row *ret)
{
	sqlite3_stmt *s =
		cell_statement(cell, "SELECT " COLUMNS " FROM machine WHERE node_key = ?");

	cell_bind_blob(s, 1, (struct slice) { node->bytes, sizeof(node->bytes) });
	return read_one(a, cell, s, ret);
}

enum err store_machine_by_machine(struct arena *a, struct cell *cell,
				  const struct mesh_key *machine, int64_t user,
				  struct machine_row *ret)
{
	sqlite3_stmt *s = cell_statement(cell, "SELECT " COLUMNS
					       " FROM machine WHERE machine_key = ? AND user = ?");

	cell_bind_blob(s, 1, (struct slice) { machine->bytes, sizeof(machine->bytes) });
	cell_bind_int(s, 2, user);
	return read_one(a, cell, s, ret);
}

/* "n7" or "7". */
static enum err by_id(struct arena *a, struct cell *cell, struct slice text,
		      struct machine_row *ret)
{
	uint64_t id;

	if (slice_starts_with(text, SLICE("n")))
		text = slice_part(text, 1, text.size);
	if (text_to_u64(text, INT64_MAX, &id))
		return ERR_NOT_FOUND;
	return store_machine(a, cell, (int64_t)id, ret);
}

static enum err by_address(struct arena *a, struct cell *cell, struct ip ip,
			   struct machine_row *ret)
{
	sqlite3_stmt *s = cell_statement(cell, "SELECT " COLUMNS " FROM machine WHERE v4 = ?");
	uint32_t low = 0;

	for (int i = 13; i < 16; i++)
		low = low << 8 | ip.bytes[i];
	cell_bind_int(s, 1, ip.family == IP_V4 ? ip_v4_number(ip) : 0x64000000 | low);
	enum err err = read_one(a, cell, s, ret);
	if (!err && ip.family == IP_V6 && !ip_equal(ip, address_v6(ret->v4)))
		err = ERR_NOT_FOUND;
	return err;
}

/* Machines choose their names, but not their ids: one that calls itself n7 is not taken for it. */
enum err store_machine_by_text(struct arena *a, struct cell *cell, struct slice text,
			       struct machine_row *ret)
{
	struct ip ip;
	enum err err = by_id(a, cell, text, ret);

	if (err != ERR_NOT_FOUND)
		return err;
	if (!ip_parse(text, &ip))
		return by_address(a, cell, ip, ret);
	sqlite3_stmt *s = cell_statement(cell, "SELECT " COLUMNS " FROM machine WHERE name = ?");
	cell_bind_text(s, 1, text);
	return read_one(a, cell, s, ret);
}

static int64_t count_machines(struct cell *cell)
{
	sqlite3_stmt *s = cell_statement(cell, "SELECT count(*) FROM machine");

	return cell_next(cell, s) ? sqlite3_column_int64(s, 0) : 0;
}

void store_machines(struct arena *a, struct cell *cell, struct machine_row **ret, size_t *ret_count)
{
	size_t max = (size_t)count_machines(cell), count = 0;
	struct machine_row *rows = arena_take_array(a, max + 1, sizeof(*rows));
	sqlite3_stmt *s = cell_statement(cell, "SELECT " COLUMNS " FROM machine ORDER BY id");

	while (count < max && cell_next(cell, s))
		read_machine(a, s, &rows[count++]);
	*ret = rows;
	*ret_count = count;
}

/* --- changing ----------------------------------------------------------------------------------
 */

enum err store_machine_put(struct cell *cell, const struct machine_row *m)
{
	sqlite3_stmt *s = cell_statement(
		cell,
		"INSERT INTO machine (" COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
		" ?, ?, ?) ON CONFLICT (id) DO UPDATE SET user = excluded.user,"
		" name = excluded.name, machine_key = excluded.machine_key,"
		" node_key = excluded.node_key, version = excluded.version,"
		" expiry_s = excluded.expiry_s, seen_s = excluded.seen_s,"
		" is_named = excluded.is_named, is_authorized = excluded.is_authorized,"
		" is_ephemeral = excluded.is_ephemeral, tags = excluded.tags,"
		" hostinfo = excluded.hostinfo, routes = excluded.routes");

	cell_bind_int(s, 1, m->id);
	cell_bind_int(s, 2, m->user);
	cell_bind_text(s, 3, m->name);
	cell_bind_blob(s, 4, (struct slice) { m->machine.bytes, sizeof(m->machine.bytes) });
	cell_bind_blob(s, 5, (struct slice) { m->node.bytes, sizeof(m->node.bytes) });
	cell_bind_int(s, 6, m->v4);
	cell_bind_int(s, 7, m->version);
	cell_bind_int(s, 8, m->created_s);
	cell_bind_int(s, 9, m->expiry_s);
	cell_bind_int(s, 10, m->seen_s);
	cell_bind_int(s, 11, m->is_named);
	cell_bind_int(s, 12, m->is_authorized);
	cell_bind_int(s, 13, m->is_ephemeral);
	cell_bind_text(s, 14, m->tags);
	cell_bind_text(s, 15, m->hostinfo);
	cell_bind_text(s, 16, m->routes);
	return cell_execute(cell, s);
}

enum err store_machine_remove(struct cell *cell, int64_t id)
{
	sqlite3_stmt *s = cell_statement(cell, "DELETE FROM machine WHERE id = ?");

	cell_bind_int(s, 1, id);
	return cell_execute(cell, s);
}

static bool address_is_taken(struct cell *cell, uint32_t v4)
{
	sqlite3_stmt *s = cell_statement(cell, "SELECT 1 FROM machine WHERE v4 = ?");

	cell_bind_int(s, 1, v4);
	return cell_next(cell, s);
}

/* One after the other, round and round: an address that became free is given again only after all
 * others, because peers and people remember it. */
static enum err take_address(struct cell *cell, uint32_t *ret)
{
	for (int i = 0; i < STORE_MACHINES_MAX + (1 << 17); i++) {
		int64_t number;
		enum err err = store_count(cell, "address", &number);
		if (err)
			return err;
		uint32_t v4 = (uint32_t)(ADDRESSES_FIRST + (number - 1) % ADDRESSES_COUNT);
		if (!address_is_free_for_machines(v4) || address_is_taken(cell, v4))
			continue;
		*ret = v4;
		return OK;
	}
	return ERR_FULL;
}

enum err store_machine_begin(struct cell *cell, struct machine_row *ret)
{
	if (count_machines(cell) >= STORE_MACHINES_MAX)
		return ERR_FULL;
	enum err err = store_count(cell, "machine", &ret->id);
	return err ? err : take_address(cell, &ret->v4);
}

static bool name_is_taken(struct cell *cell, struct slice name, int64_t id)
{
	sqlite3_stmt *s = cell_statement(cell, "SELECT 1 FROM machine WHERE name = ? AND id <> ?");

	cell_bind_text(s, 1, name);
	cell_bind_int(s, 2, id);
	return cell_next(cell, s);
}

enum err store_machine_name(struct arena *a, struct cell *cell, struct slice wish, int64_t id,
			    struct slice *ret)
{
	enum { SUFFIX_BYTES = 6 };
	char label[NAME_LABEL_BYTES];

	name_sanitize(wish, NAME_LABEL_BYTES - 1, label);
	*ret = slice_from(arena_format(a, "%s", label));
	if (!name_is_taken(cell, *ret, id))
		return OK;
	name_sanitize(wish, NAME_LABEL_BYTES - 1 - SUFFIX_BYTES, label);
	for (int i = 1; i <= STORE_NAMES_MAX; i++) {
		*ret = slice_from(arena_format(a, "%s-%d", label, i));
		if (!name_is_taken(cell, *ret, id))
			return OK;
	}
	return ERR_FULL;
}

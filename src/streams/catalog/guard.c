#include "streams/catalog/guard.h"

#include "base/map.h"
#include "base/memory.h"

struct guard_admins {
	struct arena arena;
	struct map by_principal;
};

void guard_init(struct guard *g)
{
	*g = (struct guard) { .is_stale = true, .has_users = true };
}

static void forget(struct guard *g)
{
	grants_free(g->grants);
	if (g->admins) {
		map_done(&g->admins->by_principal);
		arena_done(&g->admins->arena);
		memory_free(g->admins);
	}
	g->grants = NULL;
	g->admins = NULL;
}

void guard_done(struct guard *g)
{
	forget(g);
}

/* --- reading ----------------------------------------------------------------------------------
 */

static size_t count_of(struct cell *cell, const char *sql)
{
	sqlite3_stmt *st = cell_statement(cell, sql);
	size_t count = cell_next(cell, st) ? (size_t)sqlite3_column_int64(st, 0) : 0;

	sqlite3_reset(st);
	return count;
}

void guard_users(struct arena *a, struct cell *cell, struct guard_user **ret, size_t *ret_count)
{
	size_t max = count_of(cell, "SELECT count(*) FROM access_user"), count = 0;
	struct guard_user *all = arena_take_array(a, max + 1, sizeof(*all));
	sqlite3_stmt *st =
		cell_statement(cell, "SELECT id, name, is_admin FROM access_user ORDER BY name");

	while (count < max && cell_next(cell, st))
		all[count++] = (struct guard_user) {
			.id = sqlite3_column_int64(st, 0),
			.name = arena_copy(a, cell_column_text(st, 1)),
			.is_admin = sqlite3_column_int(st, 2) != 0,
		};
	sqlite3_reset(st);
	*ret = all;
	*ret_count = count;
}

void guard_grants(struct arena *a, struct cell *cell, struct grant **ret, size_t *ret_count)
{
	size_t max = count_of(cell, "SELECT count(*) FROM access_grant"), count = 0;
	struct grant *all = arena_take_array(a, max + 1, sizeof(*all));
	sqlite3_stmt *st = cell_statement(
		cell, "SELECT resource, pattern, name, principal, host, operation, permission"
		      " FROM access_grant ORDER BY resource, name, pattern, principal, id");

	while (count < max && cell_next(cell, st))
		all[count++] = (struct grant) {
			.resource = (enum grant_resource)sqlite3_column_int(st, 0),
			.pattern = (enum grant_pattern)sqlite3_column_int(st, 1),
			.name = arena_copy(a, cell_column_text(st, 2)),
			.principal = arena_copy(a, cell_column_text(st, 3)),
			.host = arena_copy(a, cell_column_text(st, 4)),
			.operation = (enum grant_operation)sqlite3_column_int(st, 5),
			.permission = (enum grant_permission)sqlite3_column_int(st, 6),
		};
	sqlite3_reset(st);
	*ret = all;
	*ret_count = count;
}

static void remember_admins(struct guard *g, const struct guard_user *users, size_t count)
{
	g->admins = NEW(struct guard_admins);
	arena_init(&g->admins->arena);
	map_init(&g->admins->by_principal);
	for (size_t i = 0; i < count; i++)
		if (users[i].is_admin) {
			char *text = arena_format(&g->admins->arena, "User:%.*s",
						  SLICE_ARG(users[i].name));
			map_put(&g->admins->by_principal, slice_from(text), text);
		}
}

void guard_read(struct guard *g, struct cell *cell)
{
	struct guard_user *users;
	struct grant *grants;
	size_t user_count, grant_count;
	struct arena a;

	if (!g->is_stale && g->grants)
		return;
	forget(g);
	g->has_users = true;
	if (!cell)
		return;
	arena_init(&a);
	bool has_tables = count_of(cell, "SELECT count(*) FROM sqlite_master"
					 " WHERE name = 'access_grant'") > 0;
	user_count = grant_count = 0;
	users = NULL;
	grants = NULL;
	if (has_tables) { /* control is not older than this program */
		guard_users(&a, cell, &users, &user_count);
		guard_grants(&a, cell, &grants, &grant_count);
	}
	g->grants = grants_new(grants, grant_count);
	remember_admins(g, users, user_count);
	g->has_users = user_count > 0;
	g->is_stale = false;
	arena_done(&a);
}

/* --- answers ----------------------------------------------------------------------------------
 */

bool guard_is_admin(const struct guard *g, struct slice principal)
{
	if (slice_equal(principal, GUARD_AGENT))
		return true;
	return g->admins && principal.data && map_get(&g->admins->by_principal, principal) != NULL;
}

static struct grant_question question(const struct guard_caller *who,
				      enum grant_operation operation, enum grant_resource resource,
				      struct slice name)
{
	return (struct grant_question) {
		.principal = who->principal.data ? who->principal : GUARD_ANONYMOUS,
		.host = who->host,
		.operation = operation,
		.resource = resource,
		.name = name,
	};
}

struct grant_decision guard_explain(const struct guard *g, const struct guard_caller *who,
				    enum grant_operation operation, enum grant_resource resource,
				    struct slice name)
{
	struct grant_question q = question(who, operation, resource, name);

	if (guard_is_admin(g, who->principal))
		return (struct grant_decision) { .is_allowed = true };
	if (!g->grants)
		return (struct grant_decision) { .is_allowed = false };
	struct grant_decision d = grants_decide(g->grants, &q);
	if (!d.grant && !g->has_users && !grants_speak_of(g->grants, resource, name))
		d.is_allowed = true;
	return d;
}

bool guard_may(const struct guard *g, const struct guard_caller *who,
	       enum grant_operation operation, enum grant_resource resource, struct slice name)
{
	return guard_explain(g, who, operation, resource, name).is_allowed;
}

bool guard_may_any(const struct guard *g, const struct guard_caller *who,
		   enum grant_operation operation, enum grant_resource resource)
{
	struct grant_question q = question(who, operation, resource, SLICE(""));

	if (!g->has_users || guard_is_admin(g, who->principal))
		return true;
	return g->grants && grants_allow_any(g->grants, &q);
}

uint32_t guard_operations(const struct guard *g, const struct guard_caller *who, uint32_t mask,
			  enum grant_resource resource, struct slice name)
{
	uint32_t allowed = 0;

	for (uint32_t i = GRANT_READ; i <= GRANT_TWO_PHASE_COMMIT; i++)
		if ((mask & (1u << i)) &&
		    guard_may(g, who, (enum grant_operation)i, resource, name))
			allowed |= 1u << i;
	return allowed;
}

/* --- one user ---------------------------------------------------------------------------------
 */

enum err guard_find_user(struct arena *a, struct cell *cell, struct slice name,
			 struct guard_user *ret)
{
	sqlite3_stmt *st =
		cell_statement(cell, "SELECT id, is_admin FROM access_user WHERE name = ?1");

	if (name.size > GUARD_USER_BYTES_MAX)
		return ERR_NOT_FOUND;
	cell_bind_text(st, 1, name);
	bool is_found = cell_next(cell, st);
	if (is_found)
		*ret = (struct guard_user) {
			.id = sqlite3_column_int64(st, 0),
			.name = arena_copy(a, name),
			.is_admin = sqlite3_column_int(st, 1) != 0,
		};
	sqlite3_reset(st);
	return is_found ? OK : ERR_NOT_FOUND;
}

enum err guard_find_verifier(struct arena *a, struct cell *cell, struct slice user,
			     enum scram_kind kind, struct guard_verifier *ret)
{
	struct guard_verifier found = { .kind = kind };
	enum err err = guard_find_user(a, cell, user, &found.user);

	if (err)
		return err;
	sqlite3_stmt *st = cell_statement(
		cell, "SELECT iterations, salt, stored_key, server_key FROM access_verifier"
		      " WHERE user = ?1 AND kind = ?2");
	cell_bind_int(st, 1, found.user.id);
	cell_bind_int(st, 2, kind);
	bool is_found = cell_next(cell, st);
	if (is_found) {
		found.iterations = sqlite3_column_int(st, 0);
		found.salt = arena_copy(a, cell_column_blob(st, 1));
		found.stored_key = arena_copy(a, cell_column_blob(st, 2));
		found.server_key = arena_copy(a, cell_column_blob(st, 3));
		*ret = found;
	}
	sqlite3_reset(st);
	return is_found ? OK : ERR_NOT_FOUND;
}

enum err guard_secret(struct cell *cell, uint8_t ret[GUARD_SECRET_BYTES])
{
	sqlite3_stmt *st = cell_statement(cell, "SELECT secret FROM access_secret");
	enum err err = ERR_NOT_FOUND;

	if (cell_next(cell, st)) {
		struct slice secret = cell_column_blob(st, 0);
		err = secret.size == GUARD_SECRET_BYTES ? OK : ERR_CORRUPT;
		if (!err)
			memcpy(ret, secret.data, secret.size);
	}
	sqlite3_reset(st);
	return err;
}

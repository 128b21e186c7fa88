#include "streams/catalog/quota.h"

#include <stdlib.h>

#include "base/memory.h"

/* --- names -------------------------------------------------------------------------------------
 */

static const char *const names[QUOTA_KINDS] = {
	"producer_byte_rate",	    "consumer_byte_rate",	"request_percentage",
	"controller_mutation_rate", "connection_creation_rate",
};

const char *quota_name(enum quota_kind kind)
{
	return names[kind];
}

int quota_kind_find(struct slice name)
{
	for (int i = 0; i < QUOTA_KINDS; i++)
		if (slice_equal(name, slice_from(names[i])))
			return i;
	return -1;
}

struct slice quota_user(struct slice principal)
{
	struct slice kind = SLICE("User:");

	if (!principal.data)
		return SLICE("ANONYMOUS");
	return slice_starts_with(principal, kind) ? slice_part(principal, kind.size, principal.size)
						  : principal;
}

struct slice quota_part(struct arena *a, bool is_default, struct slice name)
{
	if (is_default)
		return SLICE("*");
	uint8_t *text = arena_take(a, name.size + 1);
	text[0] = '=';
	if (name.size)
		memcpy(text + 1, name.data, name.size);
	return (struct slice) { text, name.size + 1 };
}

/* Users begin with '*' or '='. */
#define ADDRESS_MARK SLICE("@")

struct slice quota_address_part(struct arena *a, struct slice part)
{
	return slice_from(arena_format(a, "@%.*s", SLICE_ARG(part)));
}

/* --- what is set -------------------------------------------------------------------------------
 */

static double number_of(struct slice text)
{
	char digits[64];

	if (text.size >= sizeof(digits))
		return 0;
	memcpy(digits, text.data, text.size);
	digits[text.size] = 0;
	return strtod(digits, NULL);
}

bool quota_is_any(struct cell *c)
{
	sqlite3_stmt *st = cell_statement(c, "SELECT 1 FROM quota LIMIT 1");
	bool is_any = cell_next(c, st);

	sqlite3_reset(st);
	return is_any;
}

enum err quota_rows(struct arena *a, struct cell *c, struct quota_row **ret, size_t *ret_count)
{
	size_t count = 0, max = 0;
	sqlite3_stmt *st = cell_statement(c, "SELECT count(*) FROM quota");

	if (cell_next(c, st))
		max = (size_t)sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	struct quota_row *rows = arena_take_array(a, max + 1, sizeof(*rows));
	st = cell_statement(c, "SELECT user, client_id, name, value FROM quota"
			       " ORDER BY user, client_id, name");
	while (count < max && cell_next(c, st)) {
		struct slice user = arena_copy(a, cell_column_text(st, 0));
		bool is_address = slice_starts_with(user, ADDRESS_MARK);
		rows[count++] = (struct quota_row) {
			.user = is_address ? SLICE("") : user,
			.address = is_address ? slice_part(user, 1, user.size) : SLICE(""),
			.client_id = arena_copy(a, cell_column_text(st, 1)),
			.name = arena_copy(a, cell_column_text(st, 2)),
			.value = number_of(cell_column_text(st, 3)),
		};
	}
	sqlite3_reset(st);
	*ret = rows;
	*ret_count = count;
	return OK;
}

static bool find_row(struct cell *c, struct slice user, struct slice client_id,
		     enum quota_kind kind, double *ret)
{
	sqlite3_stmt *st = cell_statement(
		c, "SELECT value FROM quota WHERE user = ?1 AND client_id = ?2 AND name = ?3");

	cell_bind_text(st, 1, user);
	cell_bind_text(st, 2, client_id);
	cell_bind_text(st, 3, slice_from(names[kind]));
	bool found = cell_next(c, st);
	if (found)
		*ret = number_of(cell_column_text(st, 0));
	sqlite3_reset(st);
	return found && *ret > 0;
}

bool quota_find(struct cell *c, struct slice user, struct slice client_id, enum quota_kind kind,
		struct quota_limit *ret)
{
	const struct slice none = SLICE(""), any = SLICE("*");
	struct arena a;
	bool found = false;

	if (user.size > QUOTA_NAME_BYTES_MAX || client_id.size > QUOTA_NAME_BYTES_MAX)
		return false;
	arena_init(&a);
	struct slice this_user = quota_part(&a, false, user);
	struct slice this_client = quota_part(&a, false, client_id);
	const struct slice order[][2] = {
		{ this_user, this_client }, { this_user, any }, { this_user, none },
		{ any, this_client },	    { any, any },	{ any, none },
		{ none, this_client },	    { none, any },
	};
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]) && !found; i++) {
		found = find_row(c, order[i][0], order[i][1], kind, &ret->per_second);
		ret->by_user = order[i][0].size > 0;
		ret->by_client = order[i][1].size > 0;
	}
	arena_done(&a);
	return found;
}

bool quota_find_address(struct cell *c, struct slice host, struct quota_limit *ret)
{
	struct arena a;
	double rate;

	arena_init(&a);
	struct slice own = quota_address_part(&a, quota_part(&a, false, host));
	bool is_found = find_row(c, own, SLICE(""), QUOTA_CONNECTIONS, &rate);
	if (!is_found)
		is_found = find_row(c, SLICE("@*"), SLICE(""), QUOTA_CONNECTIONS, &rate);
	if (is_found)
		*ret = (struct quota_limit) { .per_second = rate, .by_user = true };
	arena_done(&a);
	return is_found;
}

/* --- what is used ------------------------------------------------------------------------------
 */

struct quota_client {
	struct list link;
	struct slice key; /* behind the struct */
	double left;	  /* below 0: owed */
	uint64_t since_ms;
};

void quotas_init(struct quotas *q)
{
	map_init(&q->all);
	list_init(&q->order);
}

static void forget(struct quotas *q, struct quota_client *client)
{
	map_remove(&q->all, client->key);
	list_remove(&client->link);
	memory_free(client);
}

void quotas_done(struct quotas *q)
{
	LIST_EACH (&q->order, struct quota_client, link, client)
		forget(q, client);
	map_done(&q->all);
}

/* KIND, and of what the quota is by: length of the user, user, client id. */
static struct slice make_key(struct arena *a, const struct quota_limit *limit, enum quota_kind kind,
			     struct slice user, struct slice client_id)
{
	if (!limit->by_user)
		user.size = 0;
	if (!limit->by_client)
		client_id.size = 0;
	uint8_t *key = arena_take(a, 3 + user.size + client_id.size);
	key[0] = (uint8_t)kind;
	key[1] = (uint8_t)(user.size >> 8);
	key[2] = (uint8_t)user.size;
	if (user.size)
		memcpy(key + 3, user.data, user.size);
	if (client_id.size)
		memcpy(key + 3 + user.size, client_id.data, client_id.size);
	return (struct slice) { key, 3 + user.size + client_id.size };
}

static struct quota_client *find_client(struct quotas *q, struct slice key, double full,
					uint64_t now_ms)
{
	struct quota_client *client = map_get(&q->all, key);

	if (client) {
		list_remove(&client->link);
		list_add(&q->order, &client->link);
		return client;
	}
	if (q->all.count >= QUOTA_CLIENTS_MAX)
		forget(q, CONTAINER(q->order.next, struct quota_client, link));
	client = memory_take(sizeof(*client) + key.size);
	memcpy(client + 1, key.data, key.size);
	client->key = (struct slice) { (const uint8_t *)(client + 1), key.size };
	client->left = full;
	client->since_ms = now_ms;
	map_put(&q->all, client->key, client);
	list_add(&q->order, &client->link);
	return client;
}

static uint64_t take(struct quotas *q, const struct quota_limit *limit, enum quota_kind kind,
		     struct slice user, struct slice client_id, double amount, uint64_t now_ms)
{
	struct arena a;

	arena_init(&a);
	struct slice key = make_key(&a, limit, kind, user, client_id);
	struct quota_client *client = find_client(q, key, limit->per_second, now_ms);
	arena_done(&a);
	double gained = (double)(now_ms - client->since_ms) * limit->per_second / 1000;
	client->since_ms = now_ms;
	client->left += gained;
	if (client->left > limit->per_second) /* a second's worth */
		client->left = limit->per_second;
	client->left -= amount;
	if (client->left >= 0)
		return 0;
	double wait_ms = -client->left / limit->per_second * 1000 + 1;
	return wait_ms < QUOTA_THROTTLE_MS_MAX ? (uint64_t)wait_ms : QUOTA_THROTTLE_MS_MAX;
}

uint64_t quotas_take(struct quotas *q, const struct quota_limit *limit, enum quota_kind kind,
		     struct slice user, struct slice client_id, double amount, uint64_t now_ms)
{
	return take(q, limit, kind, user, client_id, amount, now_ms);
}

uint64_t quotas_wait(struct quotas *q, const struct quota_limit *limit, enum quota_kind kind,
		     struct slice user, struct slice client_id, uint64_t now_ms)
{
	return take(q, limit, kind, user, client_id, 0, now_ms);
}

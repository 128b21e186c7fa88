/* The admin API of a node, HTTP and JSON on a Unix socket: GET /v1/status, /v1/usage,
 * /v1/users and /v1/topics/deleted; POST the last two, /v1/access/explain and
 * /v1/orphans/settle. */
#include <jansson.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "server/control_role.h"
#include "server/usage.h"
#include "streams/catalog/catalog.h"

static const char *state_name(const struct control *c)
{
	switch (leader_state(c->leadership.leader)) {
	case LEADER_LEADING:
		return "leading";
	case LEADER_CAMPAIGNING:
		return "campaigning";
	case LEADER_IDLE:
		break;
	}
	return "standby";
}

static void hash_text(char ret[33], struct hash128 hash)
{
	snprintf(ret, 33, "%016llx%016llx", (unsigned long long)hash.high,
		 (unsigned long long)hash.low);
}

/* null: this node does not lead. */
static json_t *journal_json(const struct control *c)
{
	struct leader_status leader;
	char hash[33];

	leader_get_status(c->leadership.leader, &leader);
	if (leader.state != LEADER_LEADING)
		return json_null();
	hash_text(hash, leader.content_hash);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "epoch",
			 (json_int_t)leader.epoch.counter, "committed_index",
			 (json_int_t)leader.committed_index, "snapshot_index",
			 (json_int_t)leader.snapshot_index, "in_flight",
			 (json_int_t)leader.in_flight, "record_bytes",
			 (json_int_t)leader.record_bytes, "warm_index",
			 (json_int_t)leader.warm_index, "content_hash", hash);
}

/* null: it has no cell that follows. */
static json_t *standby_json(const struct control *c)
{
	struct standby_status standby;
	char hash[33];

	standby_get_status(c->leadership.standby, &standby);
	if (standby.index == 0)
		return json_null();
	hash_text(hash, standby.content_hash);
	return json_pack("{s:I, s:I, s:I, s:s}", "index", (json_int_t)standby.index,
			 "committed_index", (json_int_t)standby.committed, "load_count",
			 (json_int_t)standby.load_count, "content_hash", hash);
}

static const char *condition_name(enum agent_condition condition)
{
	switch (condition) {
	case AGENT_SERVES:
		return "serves";
	case AGENT_OPENS:
		return "opens";
	case AGENT_SICK:
		return "sick";
	case AGENT_LEAVES:
		return "leaves";
	case AGENT_CONDITIONS:
		break;
	}
	return "unknown";
}

/* Those that are here or that clients are told of; null: this node does not lead. */
static json_t *agents_json(const struct control *c)
{
	struct cell *cell = leader_cell(c->leadership.leader);
	struct catalog_agent *agents;
	size_t count;
	struct arena a;

	if (!cell)
		return json_null();
	arena_init(&a);
	json_t *ret = json_array();
	if (catalog_agents(&a, cell, &agents, &count))
		count = 0;
	for (size_t i = 0; i < count; i++) {
		enum agent_condition condition;
		bool is_here =
			coordinator_find_agent(c->coordinator, agents[i].incarnation, &condition);
		if (!is_here && !agents[i].is_live)
			continue;
		json_array_append_new(
			ret,
			json_pack("{s:o, s:s%, s:s, s:b}", "address",
				  json_string(arena_format(&a, "%.*s:%d", SLICE_ARG(agents[i].host),
							   agents[i].port)),
				  "site", agents[i].site.data, agents[i].site.size, "condition",
				  is_here ? condition_name(condition) : "gone", "told",
				  agents[i].is_live));
	}
	arena_done(&a);
	return ret;
}

static json_t *status_json(struct control *c)
{
	const struct options *o = c->options;
	struct coordinator_status coordinator;
	bool is_sealed = c->cluster.cluster.is_sealed;
	char id[23], key_id[KEY_ID_TEXT_BYTES];

	keyring_id_text(&c->keys, key_id);
	coordinator_get_status(c->coordinator, &coordinator);
	uuid_text(id, c->cluster.cluster.id);
	return json_pack("{s:s, s:b, s:s?, s:s, s:s, s:s, s:s?, s:s?, s:s, s:o, s:o, "
			 "s:{s:I, s:I, s:I}, s:o}",
			 "cluster", id, "sealed", is_sealed, "key_id", is_sealed ? key_id : NULL,
			 "node", c->node, "state", state_name(c), "leader",
			 leader_state(c->leadership.leader) == LEADER_LEADING
				 ? c->node
				 : c->leadership.holder,
			 "kafka", o->has_streams ? o->values[OPTION_ADVERTISE] : NULL, "bucket",
			 o->values[OPTION_BUCKET][0] ? o->values[OPTION_BUCKET] : NULL,
			 "journal_bucket", o->values[OPTION_JOURNAL], "journal", journal_json(c),
			 "standby", standby_json(c), "streams", "agents",
			 (json_int_t)coordinator.sessions, "groups", (json_int_t)coordinator.groups,
			 "calls", (json_int_t)coordinator.calls, "agents", agents_json(c));
}

void admin_audit(struct control *c, const struct http_exchange *e, const char *action,
		 struct slice name)
{
	if (!c->coordinator) /* it stops: there is the log */
		log_warn("user %lld asked for: %s %.*s, which is not in the audit topic",
			 (long long)e->uid, action, SLICE_ARG(name));
	else
		coordinator_audit(c->coordinator,
				  &(struct admin_action) { .action = slice_from(action),
							   .name = name,
							   .uid = e->uid,
							   .node = c->node });
}

static int add_text(const char *text, size_t size, void *context)
{
	buf_add(context, text, size);
	return 0;
}

struct page {
	const char *path;
	json_t *(*document)(struct control *c);
	void (*change)(struct control *c, struct http_exchange *e); /* NULL: it is only read */
};

static const struct page pages[] = {
	{ "/v1/status", status_json, NULL },
	{ "/v1/usage", usage_json, NULL },
	{ "/v1/users", admin_users_json, admin_change_user },
	{ "/v1/topics/deleted", admin_deleted_topics_json, admin_change_deleted_topic },
};

static const struct page *find_page(struct slice path)
{
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
		if (slice_equal(path, slice_from(pages[i].path)))
			return &pages[i];
	return NULL;
}

void admin_on_request(void *context, struct http_exchange *e)
{
	const struct page *found = find_page(e->path);

	if (slice_equal(e->path, SLICE("/v1/access/explain")) && strcmp(e->method, "POST") == 0) {
		admin_explain_access(context, e);
		return;
	}
	if (slice_equal(e->path, SLICE("/v1/orphans/settle")) && strcmp(e->method, "POST") == 0) {
		admin_settle_orphans(context, e);
		return;
	}
	if (!found) {
		http_answer(e, 404, "application/json", SLICE("{\"error\":\"no such path\"}\n"));
		return;
	}
	if (found->change && strcmp(e->method, "POST") == 0) {
		found->change(context, e);
		return;
	}
	if (strcmp(e->method, "GET") != 0) {
		http_answer(e, 405, "application/json", SLICE("{\"error\":\"only GET\"}\n"));
		return;
	}
	struct buf text;
	buf_init(&text);
	json_t *page = found->document(context);
	if (page && !json_dump_callback(page, add_text, &text, JSON_INDENT(2))) {
		buf_add_text(&text, "\n");
		http_answer(e, 200, "application/json", buf_slice(&text));
	} else {
		http_answer(e, 500, "application/json", SLICE("{\"error\":\"not text\"}\n"));
	}
	json_decref(page);
	buf_done(&text);
}

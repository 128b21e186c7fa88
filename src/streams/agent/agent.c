#include "streams/agent/agent.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "loop/open_files.h"
#include "streams/agent/agent_numbers.h"
#include "streams/agent/audit.h"
#include "streams/agent/block_cache.h"
#include "streams/agent/compactor.h"
#include "streams/agent/condition.h"
#include "streams/agent/connection.h"
#include "streams/agent/doubt.h"
#include "streams/agent/early_runs.h"
#include "streams/agent/fetch_session.h"
#include "streams/agent/file_writer.h"
#include "streams/agent/health.h"
#include "streams/agent/held_batch.h"
#include "streams/agent/janitor.h"
#include "streams/agent/key_compactor.h"
#include "streams/agent/orphan_scan.h"
#include "streams/agent/racks.h"
#include "streams/agent/read_places.h"
#include "streams/agent/settler.h"
#include "streams/agent/share_release.h"
#include "streams/agent/shielded.h"
#include "streams/agent/site.h"
#include "streams/catalog/catalog.h"

enum { SLOW_LOOKS = 8 }; /* in the time a connection has */

static void each_connection(struct agent *agent, void (*act)(struct connection *c))
{
	for (struct list *link = agent->connections.next; link != &agent->connections;) {
		struct list *next = link->next;
		act(connection_from_link(link));
		link = next;
	}
}

/* --- serving -----------------------------------------------------------------------------------
 */

static void on_accept(void *context, struct stream *s)
{
	connection_open(context, s);
}

static void open_kafka(struct agent *agent);

static void on_reopen(struct timer *t)
{
	open_kafka(CONTAINER(t, struct agent, reopen));
}

/* False: it has been held too long. */
static bool wait_for_port(struct agent *agent)
{
	uint64_t now_ms = loop_now_ms(agent->loop);

	if (agent->port_busy_since_ms == 0)
		agent->port_busy_since_ms = now_ms;
	if (now_ms - agent->port_busy_since_ms >= AGENT_PORT_BUSY_MS)
		return false;
	timer_set(&agent->reopen, agent->loop, now_ms + AGENT_PORT_RETRY_MS, on_reopen);
	return true;
}

static void close_listeners(struct agent *agent)
{
	if (agent->listener)
		listener_close(agent->listener);
	if (agent->listener_also)
		listener_close(agent->listener_also);
	agent->listener = agent->listener_also = NULL;
}

static void on_refused(void *context, const char *peer, const char *why)
{
	struct agent *agent = context;
	char host[GUARD_HOST_BYTES];

	connection_host(peer, host);
	audit_refused_certificate(agent->audit, slice_from(host), why);
}

static enum err open_listener(struct agent *agent, const char *host, struct listener **ret,
			      char why[TASK_WHY_BYTES])
{
	const struct agent_config *c = &agent->config;

	if (c->kafka_identity) {
		enum err err = listener_open_both(agent->loop, host, c->kafka_port,
						  c->kafka_identity, on_accept, agent, ret, why);
		if (!err)
			listener_tell_refused(*ret, on_refused);
		return err;
	}
	return listener_open_tcp(agent->loop, host, c->kafka_port, on_accept, agent, ret, why);
}

/* At both places or at none. */
static enum err open_listeners(struct agent *agent, char why[TASK_WHY_BYTES])
{
	const struct agent_config *c = &agent->config;
	enum err err = open_listener(agent, c->kafka_host, &agent->listener, why);

	if (!err && c->kafka_also && c->kafka_also[0])
		err = open_listener(agent, c->kafka_also, &agent->listener_also, why);
	if (err)
		close_listeners(agent);
	return err;
}

void agent_set_identity(struct agent *agent, struct tls_identity *identity,
			const struct jwt_keys *token_keys)
{
	agent->config.kafka_identity = identity;
	agent->config.token_keys = token_keys;
	if (!identity)
		return;
	if (agent->listener)
		listener_set_identity(agent->listener, identity);
	if (agent->listener_also)
		listener_set_identity(agent->listener_also, identity);
}

/* Where anybody could come, somebody has to be able to sign in. */
static bool may_listen(struct agent *agent)
{
	const struct agent_config *c = &agent->config;
	bool has_also = c->kafka_also && c->kafka_also[0];

	if (c->is_open || c->needs_sign_in || agent_guard(agent)->has_users)
		return true;
	return host_is_shielded(c->kafka_host) && (!has_also || host_is_shielded(c->kafka_also));
}

static void tell_nobody_signs_in(struct agent *agent)
{
	const struct agent_config *c = &agent->config;
	char why[TASK_WHY_BYTES];

	if (agent->is_waiting_for_users)
		return;
	agent->is_waiting_for_users = true;
	bool is_also = host_is_shielded(c->kafka_host) && c->kafka_also && c->kafka_also[0];
	snprintf(why, sizeof(why),
		 "others reach %.40s, and there are no users: `hanse user add`, or --kafka-open",
		 is_also ? c->kafka_also : c->kafka_host);
	c->on_serving(c->context, false, why);
}

/* Kafka is open exactly while the replica is whole and the link stands. */
static void open_kafka(struct agent *agent)
{
	char why[TASK_WHY_BYTES];

	if (agent->listener || agent->is_stopping)
		return;
	if (!may_listen(agent)) {
		tell_nobody_signs_in(agent);
		return;
	}
	agent->is_waiting_for_users = false;
	enum err err = open_listeners(agent, why);
	if (err == ERR_BUSY && wait_for_port(agent))
		return;
	if (err) {
		agent->config.on_fatal(agent->config.context, err, why);
		return;
	}
	agent->port_busy_since_ms = 0;
	agent->config.on_serving(agent->config.context, true, "");
	condition_update(agent);
}

static void on_replica_whole(struct agent *agent);

static void on_rejoin(struct timer *t)
{
	struct agent *agent = CONTAINER(t, struct agent, reopen);

	if (control_link_is_ready(agent->link) && !replica_is_loading(agent->replica) &&
	    replica_cell(agent->replica))
		on_replica_whole(agent); /* otherwise it comes by itself */
}

/* It was not the bucket that answered, or not for good. */
static bool is_passing(enum err err)
{
	return err == ERR_UNAVAILABLE || err == ERR_TIMEOUT || err == ERR_UNKNOWN ||
	       err == ERR_BUSY || err == ERR_IO;
}

static void join_failed(struct agent *agent)
{
	const struct agent_config *config = &agent->config;
	const struct task *join = &agent->join.task;

	if (!is_passing(join->err)) {
		config->on_fatal(config->context, join->err, join->why);
		return;
	}
	config->on_serving(config->context, false, join->why[0] ? join->why : err_name(join->err));
	timer_set(&agent->reopen, agent->loop, loop_now_ms(agent->loop) + AGENT_JOIN_RETRY_MS,
		  on_rejoin);
}

/* The first time, see whether the bucket is this cluster's. */
enum { OPEN_JOIN, OPEN_JOINED };

static enum step open_step(struct task *t)
{
	struct agent *agent = CONTAINER(t, struct agent, open_task);

	switch (t->at) {
	case OPEN_JOIN:
		cluster_join(&agent->join, t, agent->config.bucket, agent->cluster_id);
		agent->join.keys = agent->config.keys;
		agent->join.has_records = catalog_has_files(replica_cell(agent->replica));
		return task_wait(t, OPEN_JOINED);
	case OPEN_JOINED:
		if (agent->join.task.err && !task_is_canceled(t))
			join_failed(agent);
		agent->is_joined = agent->join.task.err == OK;
		if (agent->is_joined) {
			settler_go_on(agent->settler);
			open_kafka(agent);
		}
		return task_done(t, agent->join.task.err);
	}
	abort();
}

static void open_on_end(struct task *t)
{
	struct agent *agent = CONTAINER(t, struct agent, open_task);

	if (agent->stop)
		task_wake(agent->stop);
}

static const char *const open_places[] = { "join", "joined" };
static const struct task_kind open_kind = {
	.name = "agent_open",
	.places = open_places,
	.place_count = 2,
	.step = open_step,
	.on_end = open_on_end,
};

static void on_replica_whole(struct agent *agent)
{
	if (agent->is_joined)
		open_kafka(agent);
	else if (!task_is_running(&agent->open_task) && !agent->is_stopping)
		task_start_root(&agent->open_task, &open_kind, agent->loop);
}

static void close_kafka(struct agent *agent, const char *why)
{
	timer_clear(&agent->reopen);
	if (!agent->listener)
		return;
	close_listeners(agent);
	each_connection(agent, connection_abort);
	agent->config.on_serving(agent->config.context, false, why);
	condition_update(agent);
}

/* The last one was removed. */
static void wait_for_users(struct agent *agent)
{
	close_kafka(agent, "the last user is gone");
	tell_nobody_signs_in(agent);
}

/* --- the link ----------------------------------------------------------------------------------
 */

static void on_hello(void *context, const struct control_link_hello *hello)
{
	struct agent *agent = context;

	agent->cluster_id = hello->cluster_id;
	agent->node_id = hello->node_id;
	agent->is_orphan = false;
	timer_clear(&agent->orphan);
	if (agent->incarnation != hello->incarnation) {
		agent->incarnation = hello->incarnation;
		file_writer_set_incarnation(agent->writer, hello->incarnation);
	}
	file_writer_wake(agent->writer);
	condition_on_hello(agent, hello->condition);
}

static void on_snapshot(void *context, int64_t index, int64_t total_bytes, int64_t offset,
			struct slice bytes)
{
	struct agent *agent = context;
	char why[TASK_WHY_BYTES];

	if (offset == 0)
		early_runs_close(agent->early);
	enum err err = replica_add_snapshot(agent->replica, index, total_bytes, offset, bytes, why);
	if (err)
		control_link_restart(agent->link, err, why);
}

static void on_loaded(void *context, enum err err, const char *why)
{
	struct agent *agent = context;

	if (agent->is_stopping || !control_link_is_ready(agent->link))
		return; /* the next connection brings another image */
	if (err) {
		control_link_restart(agent->link, err, why);
		return;
	}
	early_runs_open(agent->early);
	on_replica_whole(agent);
}

/* Users or grants have changed, or all of the replica has. */
static void on_access(void *context)
{
	struct agent *agent = context;

	agent->guard.is_stale = true;
	fetch_sessions_look_again(agent->fetch_sessions);
	each_connection(agent, connection_check);
	if (agent->is_waiting_for_users && may_listen(agent))
		on_replica_whole(agent);
	else if (agent->listener && !may_listen(agent))
		wait_for_users(agent);
}

const struct guard *agent_guard(struct agent *agent)
{
	guard_read(&agent->guard, replica_cell(agent->replica));
	return &agent->guard;
}

static void on_record(void *context, int64_t index, struct slice bytes)
{
	struct agent *agent = context;
	char why[TASK_WHY_BYTES];

	enum err err = replica_apply(agent->replica, index, bytes, why);
	if (err)
		control_link_restart(agent->link, err, why);
	else
		early_runs_catch_up(agent->early);
}

static void on_early(void *context, const struct peer_early_push *push)
{
	struct agent *agent = context;

	early_runs_take(agent->early, push);
}

static void on_audit(void *context, const struct peer_audit_push *what)
{
	struct agent *agent = context;

	audit_admin(agent->audit, what);
}

static void on_settle(void *context, const struct peer_settle_push *what)
{
	struct agent *agent = context;

	settler_take(agent->settler, what);
}

static uint64_t orphan_ms(const struct agent *agent, enum err err)
{
	if (err != ERR_TIMEOUT)
		return AGENT_ORPHAN_MS;
	return agent->config.control_count > 1 ? AGENT_SEARCH_MS : 0;
}

/* Connections stay: what they ask for waits until control is back, which is normally within a
 * second.  Only a control process that does not lead for long closes Kafka (AGENT_ORPHAN_MS), or
 * one that was waited for already, because it said nothing (CONTROL_LINK_SILENCE_MS). */
static void on_lost(void *context, enum err err, const char *why)
{
	struct agent *agent = context;

	log_warn("lost control: %s (%s)", why, err_name(err));
	early_runs_close(agent->early);
	settler_forget(agent->settler);
	if (agent->is_orphan || agent->is_stopping)
		return; /* since an earlier loss, or without hope */
	agent->is_orphan = true;
	timer_set(&agent->orphan, agent->loop, loop_now_ms(agent->loop) + orphan_ms(agent, err),
		  agent->on_orphan);
}

static void on_orphan(struct timer *t)
{
	struct agent *agent = CONTAINER(t, struct agent, orphan);

	if (!control_link_is_ready(agent->link))
		close_kafka(agent, "the control process of this node does not lead or answer");
}

/* All that was committed and told to us; what control has now must go on from there. */
static struct control_link_position position(void *context)
{
	const struct agent *agent = context;
	struct cell *cell = replica_cell(agent->replica);

	if (!cell)
		return (struct control_link_position) { 0 };
	return (struct control_link_position) {
		.index = replica_index(agent->replica),
		.hash = cell_hash(cell),
		.cluster_id = agent->cluster_id,
	};
}

static const struct control_link_owner link_owner = {
	.position = position,
	.on_hello = on_hello,
	.on_snapshot = on_snapshot,
	.on_record = on_record,
	.on_early = on_early,
	.on_audit = on_audit,
	.on_settle = on_settle,
	.on_lost = on_lost,
};

/* --- slow connections --------------------------------------------------------------------------
 */

static void on_slow(struct timer *t);

static void look_again(struct agent *agent)
{
	agent->is_watching_slow =
		room_is_wanted(&agent->requests) || room_is_wanted(&agent->answers);
	if (agent->is_watching_slow)
		timer_set(&agent->slow, agent->loop,
			  loop_now_ms(agent->loop) + agent->slow_ms / SLOW_LOOKS, on_slow);
}

static void on_slow(struct timer *t)
{
	struct agent *agent = CONTAINER(t, struct agent, slow);

	each_connection(agent, connection_end_if_slow);
	look_again(agent);
}

void agent_watch_slow(struct agent *agent)
{
	if (!agent->is_watching_slow)
		look_again(agent);
}

/* --- life --------------------------------------------------------------------------------------
 */

static size_t connection_count_max(void)
{
	size_t files = open_files_max();

	files = files > AGENT_FILES_KEPT ? files - AGENT_FILES_KEPT : 1;
	return files < AGENT_CONNECTIONS_MAX ? files : AGENT_CONNECTIONS_MAX;
}

/* Its row in the catalog: HOST:PORT of the node's first agent, and for others their number. */
static void name_agent(const struct agent_config *c, char *ret, size_t size)
{
	if (c->number <= 1)
		snprintf(ret, size, "%s:%u", c->advertise_host, c->advertise_port);
	else
		snprintf(ret, size, "%s:%d" CATALOG_AGENT_NUMBER "%d", c->advertise_host,
			 c->advertise_port - (c->number - 1), c->number);
}

struct agent *agent_new(struct loop *loop, const struct agent_config *config)
{
	struct agent *agent = NEW(struct agent);
	char node[512];

	agent->loop = loop;
	agent->config = *config;
	agent->on_orphan = on_orphan;
	list_init(&agent->connections);
	room_init(&agent->requests, AGENT_BUFFERED_BYTES_MAX);
	room_init(&agent->answers, AGENT_ANSWER_BYTES_MAX);
	slow_lane_init(&agent->slow_lane, loop);
	agent->slow_ms = AGENT_SLOW_MS;
	agent->connection_count_max = connection_count_max();
	guard_init(&agent->guard);
	agent->audit = audit_new(agent);
	agent->replica = replica_new(loop, &(struct replica_owner) { on_loaded, on_access, agent });
	agent->early = early_runs_new(agent->replica);
	agent->cache = block_cache_new(loop, config->bucket, AGENT_CACHE_BYTES_DEFAULT);
	agent->condition = NEW(struct condition);
	agent->condition->agent = agent;
	agent->condition->told = AGENT_OPENS;
	agent->health = health_new(agent);
	block_cache_set_health(agent->cache, agent->health);
	agent->site = site_new(agent);
	block_cache_set_site(agent->cache, agent->site);
	agent->places = read_places_new();
	agent->racks = racks_new();
	agent->numbers = agent_numbers_new();
	agent->writer = file_writer_new(agent);
	agent->held = held_batches_new(agent);
	agent->fetch_sessions = fetch_sessions_new(agent->replica);
	agent->shares = share_release_new(agent);
	quotas_init(&agent->quotas);
	quotas_init(&agent->connection_quotas);
	agent->settler = settler_new(agent);
	agent->doubt = NEW(struct doubt);
	agent->doubt->agent = agent;
	name_agent(config, node, sizeof(node));
	agent->link = control_link_new(loop, &(struct control_link_config) {
						     .places = config->controls,
						     .place_count = config->control_count,
						     .identity = config->identity,
						     .node = node,
						     .kafka_host = config->advertise_host,
						     .kafka_port = config->advertise_port,
						     .site = config->site,
						     .blocks = site_place(agent->site),
						     .silence_ms = config->control_silence_ms,
						     .owner = &link_owner,
						     .context = agent,
					     });
	janitor_init_budget(&agent->deletes,
			    config->puts_per_s ? config->puts_per_s : FLUSH_PUTS_PER_S,
			    loop_now_ms(loop));
	agent->janitor = janitor_start(agent);
	agent->orphan_scan = orphan_scan_start(agent);
	agent->key_compactor = key_compactor_start(agent);
	agent->compactor = compactor_start(agent);
	agent->reporter = reporter_start(agent);
	return agent;
}

enum { STOP_BEGIN, STOP_LEAVING, STOP_MOVING, STOP_DRAIN };

static void on_stop_timer(struct timer *timer)
{
	struct agent_stop *s = CONTAINER(timer, struct agent_stop, timer);

	s->is_over = true;
	task_wake(&s->task);
}

static enum step stop_wait(struct agent_stop *s, uint64_t patience_ms, int at)
{
	s->is_over = false;
	timer_set(&s->timer, s->agent->loop, loop_now_ms(s->agent->loop) + patience_ms,
		  on_stop_timer);
	return task_wait(&s->task, at);
}

static bool is_busy(const struct agent *agent)
{
	return task_is_running(&agent->open_task) || audit_is_busy(agent->audit) ||
	       agent->janitor || agent->key_compactor || agent->compactor || agent->orphan_scan ||
	       agent->discard_count > 0 || doubt_is_busy(agent) || condition_is_busy(agent) ||
	       health_is_busy(agent->health) || agent->connection_count > 0 ||
	       file_writer_is_busy(agent->writer) || block_cache_is_busy(agent->cache) ||
	       replica_is_loading(agent->replica) || share_release_is_busy(agent->shares) ||
	       site_is_busy(agent->site) || settler_is_busy(agent->settler);
}

static enum step drained(struct agent_stop *s)
{
	struct agent *agent = s->agent;

	if (task_is_canceled(&s->task)) {
		each_connection(agent, connection_abort);
		share_release_cancel(agent->shares);
		if (agent->reporter)
			reporter_cancel(agent->reporter);
	}
	if (is_busy(agent))
		return task_wait(&s->task, STOP_DRAIN);
	if (agent->reporter) { /* now that everything is counted */
		reporter_stop(agent->reporter);
		return task_wait(&s->task, STOP_DRAIN);
	}
	agent->stop = NULL;
	timer_clear(&agent->slow);
	slow_lane_done(&agent->slow_lane);
	block_cache_set_idle(agent->cache, NULL);
	replica_set_idle(agent->replica, NULL);
	return task_done(&s->task, OK);
}

static enum step drain(struct agent_stop *s)
{
	struct agent *agent = s->agent;

	timer_clear(&s->timer);
	agent->is_stopping = true;
	block_cache_set_idle(agent->cache, &s->task);
	replica_set_idle(agent->replica, &s->task);
	timer_clear(&agent->orphan);
	timer_clear(&agent->reopen);
	close_listeners(agent);
	each_connection(agent, connection_drain);
	replica_wake_all(agent->replica); /* fetches that wait answer with what there is */
	room_wake_all(&agent->answers);
	janitor_stop(agent->janitor);
	orphan_scan_stop(agent->orphan_scan);
	settler_stop(agent->settler);
	key_compactor_stop(agent->key_compactor);
	compactor_stop(agent->compactor);
	audit_stop(agent->audit);
	doubt_stop(agent);
	share_release_hurry(agent->shares);
	condition_stop(agent);
	health_stop(agent->health);
	site_stop(agent->site);
	return drained(s);
}

/* Clients that ask for records or wait for their group are told at once where not to. */
static enum step move_clients(struct agent_stop *s)
{
	struct agent *agent = s->agent;

	log_info("left; clients go to %d other agents", agent->condition->others);
	agent->has_left = true;
	if (agent->connection_count == 0)
		return drain(s);
	each_connection(agent, connection_hurry);
	replica_wake_all(agent->replica);
	return stop_wait(s, AGENT_MOVE_MS, STOP_MOVING);
}

static bool has_others(struct agent *agent)
{
	struct cell *cell = replica_cell(agent->replica);
	struct catalog_agent *all;
	size_t count = 0;
	bool is_found = false;
	struct arena a;

	arena_init(&a);
	if (cell && catalog_agents(&a, cell, &all, &count))
		count = 0;
	for (size_t i = 0; i < count; i++)
		is_found |= all[i].is_live && all[i].node_id != agent->node_id;
	arena_done(&a);
	return is_found;
}

static enum step stop_begin(struct agent_stop *s)
{
	struct agent *agent = s->agent;

	agent->stop = &s->task;
	agent->is_leaving = true;
	if (!agent->listener || !control_link_is_ready(agent->link) || !has_others(agent))
		return drain(s);
	condition_update(agent);
	return stop_wait(s, AGENT_LEAVE_MS, STOP_LEAVING);
}

static enum step stop_step(struct task *t)
{
	struct agent_stop *s = CONTAINER(t, struct agent_stop, task);
	struct agent *agent = s->agent;

	if (t->at == STOP_DRAIN)
		return drained(s);
	if (task_is_canceled(t))
		return drain(s);
	switch (t->at) {
	case STOP_BEGIN:
		return stop_begin(s);
	case STOP_LEAVING:
		if (condition_has_left(agent))
			return agent->condition->others > 0 ? move_clients(s) : drain(s);
		return s->is_over ? drain(s) : task_wait(t, STOP_LEAVING);
	case STOP_MOVING:
		return s->is_over || agent->connection_count == 0 ? drain(s)
								  : task_wait(t, STOP_MOVING);
	}
	abort();
}

static const char *const stop_places[] = { "begin", "leaving", "moving", "drain" };
static const struct task_kind stop_kind = {
	.name = "agent_stop",
	.places = stop_places,
	.place_count = 4,
	.step = stop_step,
};

void agent_stop(struct agent_stop *s, struct task *parent, struct agent *agent)
{
	*s = (struct agent_stop) { .agent = agent };
	task_start(&s->task, &stop_kind, parent);
}

void agent_free(struct agent *agent)
{
	assert(agent->connection_count == 0);
	control_link_free(agent->link);
	held_batches_free(agent->held);
	file_writer_free(agent->writer);
	settler_free(agent->settler);
	block_cache_free(agent->cache);
	site_free(agent->site);
	read_places_free(agent->places);
	racks_free(agent->racks);
	fetch_sessions_free(agent->fetch_sessions);
	share_release_free(agent->shares);
	quotas_done(&agent->quotas);
	quotas_done(&agent->connection_quotas);
	early_runs_free(agent->early);
	replica_free(agent->replica);
	guard_done(&agent->guard);
	audit_free(agent->audit);
	agent_numbers_free(agent->numbers);
	memory_free(agent->doubt);
	memory_free(agent->condition);
	health_free(agent->health);
	memory_free(agent);
}

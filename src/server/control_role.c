#include "server/control_role.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"
#include "buckets/hedge.h"
#include "buckets/sealed.h"
#include "loop/stop.h"
#include "server/key_file.h"
#include "server/serve.h"
#include "server/supervisor.h"
#include "streams/catalog/catalog.h"

/* The first member of a group waits so long for others: members that start together share the
 * partitions at once instead of one after the other. */
enum { REBALANCE_DELAY_MS = 100 };

/* --- what the leader tells ---------------------------------------------------------------------
 */

static void on_leading(void *context)
{
	struct control *c = context;
	struct leader_status status;

	leader_get_status(c->leader, &status);
	log_info("leads the journal in epoch %llu from record %llu on",
		 (unsigned long long)status.epoch.counter,
		 (unsigned long long)status.committed_index);
	supervisor_tell_status("leads");
	c->retry_ms = CONTROL_RETRY_MS_MIN;
	c->doubts = 0;
	older_led(&c->older, status.epoch);
	coordinator_on_leading(c->coordinator);
	task_wake(&c->task);
}

static void on_lost(void *context, const char *why, const char *holder)
{
	struct control *c = context;

	c->is_lost = true;
	snprintf(c->lost_why, sizeof(c->lost_why), "%s", why);
	snprintf(c->holder, sizeof(c->holder), "%s", holder);
	coordinator_on_lost(c->coordinator, why);
	if (task_is_running(&c->task))
		task_wake(&c->task);
}

static void on_committed(void *context, uint64_t index, struct slice record)
{
	struct control *c = context;

	if (c->coordinator) /* else it has stopped, and the leader commits what it left */
		coordinator_on_committed(c->coordinator, index, record);
}

/* An agent has seen what this journal does not have. */
static void on_older(void *context, const struct leader_position *seen, struct slice node)
{
	struct control *c = context;
	struct leader_status status;

	leader_get_status(c->leader, &status);
	older_proven(&c->older, seen, node, status.committed_index,
		     c->options->values[OPTION_JOURNAL]);
	leader_know(c->leader, seen);
	leader_refuse(c->leader, "an agent has seen more of it");
}

static const struct leader_watcher watcher = {
	.on_leading = on_leading,
	.on_lost = on_lost,
	.on_committed = on_committed,
};

/* --- doors -------------------------------------------------------------------------------------
 */

static void on_agent(void *context, struct stream *s)
{
	struct control *c = context;

	coordinator_accept(c->coordinator, s);
}

static struct heartbeat_answer on_heartbeat(void *context)
{
	struct control *c = context;
	struct leader_status status;

	leader_get_status(c->leader, &status);
	return (struct heartbeat_answer) {
		.is_leading = status.state == LEADER_LEADING,
		.is_starting = status.state == LEADER_CAMPAIGNING,
		.epoch = status.epoch,
		.committed_index = status.committed_index,
	};
}

static enum err open_doors(struct control *c, char why[TASK_WHY_BYTES])
{
	char path[OPTION_VALUE_BYTES_MAX + 32];
	const struct options *o = c->options;
	struct http_server_config admin = { .on_request = admin_on_request, .context = c };

	options_control_path(o, path);
	enum err err = listener_open_unix(c->loop, path, on_agent, c, &c->agents, why);
	if (err)
		return err;
	options_admin_path(o->values[OPTION_RUN_DIR], o->kafka.port, path);
	err = http_server_open_unix(c->loop, path, &admin, &c->admin, why);
	if (err)
		return err;
	return peer_port_open(c->loop,
			      &(struct peer_port_config) {
				      .host = o->peer_listen,
				      .port = o->peer.port,
				      .identity = c->identity.listens ? &c->identity : NULL,
				      .node = c->node,
				      .ask = on_heartbeat,
				      .on_agent = on_agent,
				      .context = c,
			      },
			      &c->peers, why);
}

static void close_doors(struct control *c)
{
	if (c->agents)
		listener_close(c->agents);
	if (c->admin)
		http_server_close(c->admin);
	if (c->peers)
		peer_port_close(c->peers);
	c->agents = NULL;
	c->admin = NULL;
	c->peers = NULL;
}

/* --- beginning ---------------------------------------------------------------------------------
 */

static void begin_leader(struct control *c)
{
	struct uuid id;

	memcpy(id.bytes, c->cluster.cluster.id, sizeof(id.bytes));
	c->leader = leader_new(c->loop, &(struct leader_config) {
						.buckets = c->buckets,
						.bucket_count = c->bucket_count,
						.journal = CONTROL_JOURNAL,
						.node = c->host,
						.address = c->options->values[OPTION_PEER],
						.cell_name = CONTROL_CELL,
						.schema = catalog_schema,
						.schema_count = catalog_schema_count,
						.watcher = &watcher,
						.context = c,
					});
	c->standby = standby_new(c->loop, &(struct standby_config) {
						  .buckets = c->buckets,
						  .bucket_count = c->bucket_count,
						  .journal = CONTROL_JOURNAL,
						  .cell_name = CONTROL_CELL,
					  });
	c->coordinator = coordinator_new(c->loop, &(struct coordinator_config) {
							  .leader = c->leader,
							  .cluster_id = id,
							  .journal_buckets = c->buckets,
							  .journal_bucket_count = c->bucket_count,
							  .default_partitions =
								  c->options->default_partitions,
							  .rebalance_delay_ms = REBALANCE_DELAY_MS,
							  .on_older = on_older,
							  .context = c,
						  });
}

static void tell_cluster(struct control *c)
{
	char id[23], text[128];

	uuid_text(id, c->cluster.cluster.id);
	bool is_sealed = c->cluster.cluster.is_sealed;
	snprintf(text, sizeof(text), "%s %s (format %d%s)",
		 c->cluster.is_new ? "new cluster" : "cluster", id,
		 is_sealed ? CLUSTER_FORMAT_SEALED : CLUSTER_FORMAT, is_sealed ? ", sealed" : "");
	if (c->cluster.is_new)
		log_warn("the bucket was empty: created %s", text);
	else
		log_info("opened %s", text);
	supervisor_tell_ready(text);
}

static enum step give_up(struct control *c, enum err err, const char *why)
{
	log_error("%s", why);
	if (err == ERR_DENIED)
		supervisor_tell_denied(why);
	else
		supervisor_tell_fatal(why);
	loop_stop(c->loop);
	return task_done(&c->task, ERR_INVALID);
}

/* --- who leads ---------------------------------------------------------------------------------
 */

enum {
	CONTROL_OPEN,
	CONTROL_OPENED,
	CONTROL_FIND,
	CONTROL_FOUND,
	CONTROL_STANDBY,
	CONTROL_CAMPAIGN,
	CONTROL_LEADING,
	CONTROL_STOPPING,
};

static enum step pause_then(struct control *c, uint64_t pause_ms, int at)
{
	sleep_start(&c->sleep, &c->task, loop_now_ms(c->loop) + pause_ms);
	return task_wait(&c->task, at);
}

static uint64_t next_retry(struct control *c)
{
	struct prng jitter = { random_u64() };
	uint64_t pause_ms = c->retry_ms + prng_below(&jitter, CONTROL_JITTER_MS);

	c->retry_ms *= 2;
	if (c->retry_ms > CONTROL_RETRY_MS_MAX)
		c->retry_ms = CONTROL_RETRY_MS_MAX;
	return pause_ms;
}

static bool is_door_waited_for(struct control *c)
{
	uint64_t now_ms = loop_now_ms(c->loop);

	if (c->busy_since_ms == 0)
		c->busy_since_ms = now_ms;
	return now_ms - c->busy_since_ms < CONTROL_DOOR_BUSY_MS;
}

/* A new cluster would hide that this is not where the old one is. */
static enum step give_up_empty(struct control *c)
{
	char why[OPTION_WHY_BYTES];

	snprintf(why, sizeof(why),
		 "%.100s is empty, and the key is that of a cluster: is it the right bucket?  "
		 "`--new-cluster yes` makes a new cluster there",
		 c->options->values[OPTION_JOURNAL]);
	return give_up(c, ERR_INVALID, why);
}

static enum step opened(struct control *c)
{
	enum err err = c->cluster.task.err;
	char why[TASK_WHY_BYTES];

	if (err == ERR_CONFLICT || err == ERR_UNAVAILABLE) {
		log_warn("the bucket cannot be opened yet: %s", c->cluster.task.why);
		return pause_then(c, next_retry(c), CONTROL_OPEN);
	}
	if (err == ERR_NOT_FOUND && !c->options->may_create)
		return give_up_empty(c);
	if (err)
		return give_up(c, err,
			       c->cluster.task.why[0] ? c->cluster.task.why : err_name(err));
	if (!c->leader)
		begin_leader(c);
	err = open_doors(c, why);
	if (err == ERR_BUSY && is_door_waited_for(c)) {
		close_doors(c);
		return pause_then(c, CONTROL_RETRY_MS_MIN, CONTROL_OPEN);
	}
	if (err)
		return give_up(c, ERR_INVALID, why);
	tell_cluster(c);
	c->retry_ms = CONTROL_RETRY_MS_MIN;
	holder_find(&c->find, &c->task, c->buckets, c->bucket_count, CONTROL_JOURNAL);
	return task_wait(&c->task, CONTROL_FOUND);
}

static enum step campaign(struct control *c)
{
	struct leader_warm warm;

	c->is_lost = false;
	c->started_ms = loop_now_ms(c->loop);
	standby_take(c->standby, &warm);
	if (warm.cell)
		leader_know(c->leader,
			    &(struct leader_position) { warm.index, cell_hash(warm.cell) });
	leader_campaign_warm(c->leader, &warm);
	return task_wait(&c->task, CONTROL_CAMPAIGN);
}

/* Says it again and again: nobody is served meanwhile. */
static enum step wait_for_newer(struct control *c)
{
	log_error("%s", c->older.text);
	supervisor_tell_status(c->older.text);
	return pause_then(c, OLDER_RETRY_MS, CONTROL_FIND);
}

/* The leader does not answer: run against it, unless it has come back too often for a dead one. */
static enum step challenge(struct control *c)
{
	char text[RIVAL_TEXT_BYTES];
	uint64_t pause_ms = 0;

	if (!older_found(&c->older, &c->find, c->bucket_count, c->options->values[OPTION_JOURNAL]))
		return wait_for_newer(c);
	if (c->find.address[0])
		pause_ms = rival_challenge(&c->rival, c->find.address, c->find.node, c->find.epoch);
	if (pause_ms == 0)
		return campaign(c);
	rival_describe(&c->rival, c->node, text);
	log_error("%s  Letting it lead for %llu s.", text, (unsigned long long)(pause_ms / 1000));
	supervisor_tell_status(text);
	return pause_then(c, pause_ms, CONTROL_FIND);
}

static void on_heartbeat_answer(void *context, uint64_t committed)
{
	struct control *c = context;

	standby_aim(c->standby, c->find.epoch, committed);
	coordinator_set_leader(c->coordinator, c->holder);
}

/* Nobody else has a claim: nobody ever led, or it was this node in an earlier life. */
static enum step found(struct control *c)
{
	struct address address;

	if (c->find.task.err && c->find_failures++ < CONTROL_FINDS_MAX) {
		log_warn("who leads cannot be read: %s", err_name(c->find.task.err));
		return pause_then(c, next_retry(c), CONTROL_FIND);
	}
	if (c->find.task.err) {
		c->find_failures = 0;
		return campaign(c); /* it says what is wrong */
	}
	c->find_failures = 0;
	snprintf(c->holder, sizeof(c->holder), "%s", c->find.address);
	rival_found(&c->rival, c->find.address, c->find.node, c->find.epoch);
	if (c->holder[0] == '\0' || strcmp(c->holder, c->options->values[OPTION_PEER]) == 0 ||
	    c->doubts >= CONTROL_DOUBTS_MAX ||
	    text_host_port(c->holder, address.host, sizeof(address.host), &address.port))
		return challenge(c);
	log_info("stands by: %s leads", c->holder);
	supervisor_tell_status("stands by");
	heartbeat_start(&c->heartbeat, &c->task, address.host, address.port, c->identity.asks,
			c->node, c->find.epoch);
	c->heartbeat.on_committed = on_heartbeat_answer;
	c->heartbeat.context = c;
	return task_wait(&c->task, CONTROL_STANDBY);
}

static enum step heartbeat_ended(struct control *c)
{
	if (c->heartbeat.has_led)
		older_led(&c->older, c->find.epoch);
	if (c->heartbeat.is_reached) {
		c->doubts = 0;
		rival_reached(&c->rival);
	}
	coordinator_set_leader(c->coordinator, "");
	switch ((int)c->heartbeat.task.err) {
	case ERR_DENIED:
	case ERR_CORRUPT:
		log_warn("%s cannot be asked whether it leads: %s", c->holder,
			 c->heartbeat.task.why);
		return challenge(c);
	case ERR_CONFLICT:
		c->doubts++;
		return pause_then(c, HEARTBEAT_MS, CONTROL_FIND);
	case ERR_TIMEOUT:
		log_warn("%s has been silent for %d ms", c->holder, HEARTBEAT_SILENCE_MS);
		return challenge(c);
	default:
		log_warn("%s is gone", c->holder);
		return challenge(c);
	}
}

static void cancel_waits(struct control *c)
{
	struct task *waits[] = { &c->cluster.task, &c->find.task, &c->heartbeat.task,
				 &c->sleep.task, &c->fence.task };

	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++)
		if (task_is_running(waits[i]))
			task_cancel(waits[i]);
}

static enum step lost(struct control *c, const char *what)
{
	struct leader_status status;

	if (c->task.children > 0) { /* the watch for pauses */
		cancel_waits(c);
		return task_wait(&c->task, c->task.at);
	}
	c->is_lost = false;
	rival_own(&c->rival, leader_epoch(c->leader));
	log_warn("%s: %s", what, c->lost_why);
	leader_get_status(c->leader, &status);
	if (status.is_refused)
		older_refused(&c->older, c->lost_why, c->options->values[OPTION_JOURNAL]);
	if (status.is_refused || c->older.is_proven)
		return wait_for_newer(c);
	supervisor_tell_status(c->lost_why);
	return pause_then(c, next_retry(c), CONTROL_FIND);
}

/* Nothing tells a leader that was stopped, with its whole machine perhaps, that another one leads
 * now; without clients it would not find out.  So it looks when it sees that time has passed it by.
 */
static enum step watch_for_pauses(struct control *c)
{
	uint64_t now_ms = loop_now_ms(c->loop);

	if (task_is_running(&c->sleep.task))
		return task_wait(&c->task, CONTROL_LEADING);
	bool was_stopped = c->tick_ms && now_ms - c->tick_ms > HEARTBEAT_SILENCE_MS;
	bool is_open = c->fence.task.err == ERR_TIMEOUT; /* the last answer was none */
	if ((was_stopped || is_open) && !task_is_running(&c->fence.task)) {
		if (was_stopped)
			log_warn("was stopped for %llu ms: does it still lead?",
				 (unsigned long long)(now_ms - c->tick_ms));
		leader_fence(&c->fence, &c->task, c->leader);
	}
	c->tick_ms = now_ms;
	sleep_start(&c->sleep, &c->task, now_ms + HEARTBEAT_MS);
	return task_wait(&c->task, CONTROL_LEADING);
}

static enum step stop(struct control *c);

static enum step control_step(struct task *t)
{
	struct control *c = CONTAINER(t, struct control, task);

	if (c->is_stopping)
		return stop(c);
	switch (t->at) {
	case CONTROL_OPEN:
		supervisor_tell_asking("the buckets");
		cluster_open(&c->cluster, t, c->buckets, c->bucket_count);
		c->cluster.keys = c->options->is_sealed ? &c->keys : NULL;
		c->cluster.must_exist = !c->options->may_create;
		return task_wait(t, CONTROL_OPENED);
	case CONTROL_OPENED:
		return opened(c);
	case CONTROL_FIND:
		holder_find(&c->find, t, c->buckets, c->bucket_count, CONTROL_JOURNAL);
		return task_wait(t, CONTROL_FOUND);
	case CONTROL_FOUND:
		return found(c);
	case CONTROL_STANDBY:
		return heartbeat_ended(c);
	case CONTROL_CAMPAIGN:
		if (c->is_lost)
			return lost(c, "could not lead");
		if (leader_state(c->leader) != LEADER_LEADING)
			return task_wait(t, CONTROL_CAMPAIGN);
		c->tick_ms = 0;
		return watch_for_pauses(c);
	case CONTROL_LEADING:
		if (c->is_lost)
			return lost(c, "no longer leads");
		return watch_for_pauses(c);
	}
	abort();
}

/* --- stopping ----------------------------------------------------------------------------------
 */

enum { STOP_BEGIN, STOP_COORDINATOR, STOP_LEADER, STOP_END };

static enum step stop(struct control *c)
{
	struct task *t = &c->task;

	if (t->children > 0)
		return task_wait(t, CONTROL_STOPPING);
	close_doors(c);
	if (c->coordinator) {
		if (c->coordinator_stop.coordinator == NULL) {
			coordinator_stop(&c->coordinator_stop, t, c->coordinator);
			return task_wait(t, CONTROL_STOPPING);
		}
		coordinator_free(c->coordinator);
		c->coordinator = NULL;
	}
	if (c->leader) {
		if (c->leader_stop.leader == NULL) {
			leader_stop(&c->leader_stop, t, c->leader);
			return task_wait(t, CONTROL_STOPPING);
		}
		leader_free(c->leader);
		c->leader = NULL;
	}
	if (c->standby) {
		if (c->standby_stop.standby == NULL) {
			standby_stop(&c->standby_stop, t, c->standby);
			return task_wait(t, CONTROL_STOPPING);
		}
		standby_free(c->standby);
		c->standby = NULL;
	}
	loop_stop(c->loop);
	return task_done(t, OK);
}

static void on_stop(void *context)
{
	struct control *c = context;

	if (c->is_stopping || !task_is_running(&c->task))
		return;
	log_info("stopping");
	c->is_stopping = true;
	cancel_waits(c);
	task_wake(&c->task);
}

/* --- main --------------------------------------------------------------------------------------
 */

static const char *const control_places[] = { "open",	 "opened",   "find",	"found",
					      "standby", "campaign", "leading", "stopping" };
static const struct task_kind control_kind = {
	.name = "control",
	.places = control_places,
	.place_count = 8,
	.step = control_step,
};

/* --journal URL[,URL...]; how many there are was checked with the options. */
static enum err open_buckets(struct control *c, char why[TASK_WHY_BYTES])
{
	char urls[OPTION_VALUE_BYTES_MAX], *rest = urls;

	snprintf(urls, sizeof(urls), "%s", c->options->values[OPTION_JOURNAL]);
	for (char *url = strsep(&rest, ","); url; url = strsep(&rest, ",")) {
		assert(c->bucket_count < CONTROL_BUCKETS_MAX);
		struct bucket **b = &c->buckets[c->bucket_count];
		enum err err = bucket_open(url, b, why);
		if (err)
			return err;
		*b = hedge_bucket_if_far(*b);
		if (c->options->is_sealed)
			*b = sealed_bucket_new(*b, keyring_get(&c->keys, KEY_JOURNAL));
		c->bucket_count++;
	}
	return OK;
}

int control_role_main(char **argv)
{
	static struct options options;
	static struct control c = { .options = &options, .retry_ms = CONTROL_RETRY_MS_MIN };
	char why[OPTION_WHY_BYTES];
	int status = 0;

	log_set_role("control");
	enum err err = options_from_flags(&options, argv, why);
	if (!err)
		err = options_finish(&options, why);
	c.node = options.values[OPTION_PEER];
	if (gethostname(c.host, sizeof(c.host)) < 0)
		c.host[0] = '\0';
	c.host[sizeof(c.host) - 1] = '\0';
	if (!err && options.is_sealed)
		err = role_take_keys(&c.keys, why);
	if (!err)
		err = open_buckets(&c, why);
	if (err) {
		supervisor_tell_fatal(why);
		return EXIT_CONFIG;
	}
	if (options.is_sealed)
		peer_identity_init(&c.identity, &c.keys);
	c.loop = loop_new(0);
	stop_install(c.loop, on_stop, &c);
	task_start_root(&c.task, &control_kind, c.loop);
	loop_run(c.loop);
	if (c.task.err && !c.is_stopping)
		status = EXIT_CONFIG;
	if (status && c.leader)
		return status; /* what it has is under way */
	for (int i = 0; i < c.bucket_count; i++)
		hedge_finish(c.buckets[i], c.loop);
	loop_free(c.loop);
	for (int i = 0; i < c.bucket_count; i++)
		bucket_close(c.buckets[i]);
	peer_identity_done(&c.identity);
	keyring_done(&c.keys);
	return status;
}

#include "server/control_role.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "loop/stop.h"
#include "server/control_numbers.h"
#include "server/key_file.h"
#include "server/role_page.h"
#include "server/serve.h"
#include "server/supervisor.h"
#include "streams/catalog/catalog.h"
#include "streams/rebuild/write.h"

/* The first member of a group waits so long for others: members that start together share the
 * partitions at once instead of one after the other. */
enum { REBALANCE_DELAY_MS = 100 };

/* --- what it knows -----------------------------------------------------------------------------
 */

bool control_leads(const struct control *c)
{
	return leader_cell(c->leadership.leader) != NULL;
}

struct cell *control_cell(const struct control *c)
{
	struct cell *led = leader_cell(c->leadership.leader);

	if (led || !c->leadership.standby)
		return led;
	struct cell *followed = standby_cell(c->leadership.standby);
	if (!followed ||
	    cell_schema_version(followed, catalog_schema[0].name) < (int)catalog_schema_count)
		return NULL;
	return followed;
}

/* --- what the leader tells ---------------------------------------------------------------------
 */

static void on_leading(void *context)
{
	struct control *c = context;

	c->is_unfinished = write_is_unfinished(leader_cell(c->leadership.leader));
	if (c->is_unfinished)
		task_wake(&c->task); /* to give up */
	else
		coordinator_on_leading(c->coordinator);
}

static void on_lost(void *context, const char *why)
{
	struct control *c = context;

	coordinator_on_lost(c->coordinator, why);
}

static void on_committed(void *context, uint64_t index, struct slice record)
{
	struct control *c = context;

	if (c->coordinator) /* else it has stopped, and the leader commits what it left */
		coordinator_on_committed(c->coordinator, index, record);
}

static void on_leader(void *context, const char *address)
{
	struct control *c = context;

	coordinator_set_leader(c->coordinator, address);
}

/* An agent has seen what this journal does not have. */
static void on_older(void *context, const struct leader_position *seen, struct slice node)
{
	struct control *c = context;

	leadership_refuse(&c->leadership, seen, node);
}

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
	struct heartbeat_answer answer = leadership_answer(&c->leadership);

	if (c->coordinator && !coordinator_has_noted_lives(c->coordinator))
		answer.committed_index = 0; /* nobody follows yet */
	return answer;
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
	leadership_init(&c->leadership, c->loop,
			&(struct leadership_config) {
				.buckets = c->buckets.list,
				.bucket_count = c->buckets.count,
				.buckets_text = c->options->values[OPTION_JOURNAL],
				.journal = CONTROL_JOURNAL,
				.cell_name = CONTROL_CELL,
				.schema = catalog_schema,
				.schema_count = catalog_schema_count,
				.address = c->node,
				.host = c->host,
				.asks = c->identity.asks,
				.appends_per_s = c->options->puts_per_s,
				.context = c,
				.on_leading = on_leading,
				.on_lost = on_lost,
				.on_committed = on_committed,
				.on_leader = on_leader,
			});
	c->coordinator = coordinator_new(c->loop, &(struct coordinator_config) {
							  .leader = c->leadership.leader,
							  .cluster_id = id,
							  .journal_buckets = c->buckets.list,
							  .journal_bucket_count = c->buckets.count,
							  .default_partitions =
								  c->options->default_partitions,
							  .rebalance_delay_ms = REBALANCE_DELAY_MS,
							  .on_older = on_older,
							  .context = c,
						  });
	c->has_started = true;
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

enum {
	CONTROL_OPEN,
	CONTROL_OPENED,
	CONTROL_RUNNING,
	CONTROL_STOPPING,
};

static enum step pause_then_open(struct control *c, uint64_t pause_ms)
{
	sleep_start(&c->sleep, &c->task, loop_now_ms(c->loop) + pause_ms);
	return task_wait(&c->task, CONTROL_OPEN);
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
		return pause_then_open(c, leadership_pause_ms(&c->retry_ms));
	}
	if (err == ERR_NOT_FOUND && !c->options->may_create)
		return give_up_empty(c);
	if (err)
		return give_up(c, err,
			       c->cluster.task.why[0] ? c->cluster.task.why : err_name(err));
	if (!c->has_started)
		begin_leader(c);
	err = open_doors(c, why);
	if (err == ERR_BUSY && is_door_waited_for(c)) {
		close_doors(c);
		return pause_then_open(c, LEADERSHIP_RETRY_MS_MIN);
	}
	if (err)
		return give_up(c, ERR_INVALID, why);
	tell_cluster(c);
	leadership_start(&c->leadership, &c->task);
	return task_wait(&c->task, CONTROL_RUNNING);
}

static enum step stop(struct control *c);
static void on_stop(void *context);

/* Half of a catalog looks like a whole one that has lost the rest. */
static enum step refuse_unfinished(struct control *c)
{
	static const char why[] = "a rebuild of this journal was cut off: run `hanse rebuild` "
				  "again before nodes start on it";

	log_error("%s", why);
	supervisor_tell_fatal(why);
	on_stop(c);
	return task_wait(&c->task, CONTROL_RUNNING);
}

static enum step control_step(struct task *t)
{
	struct control *c = CONTAINER(t, struct control, task);

	if (c->is_stopping)
		return stop(c);
	switch (t->at) {
	case CONTROL_OPEN:
		supervisor_tell_asking("the buckets");
		cluster_open(&c->cluster, t, c->buckets.list, c->buckets.count);
		c->cluster.keys = c->options->is_sealed ? &c->keys : NULL;
		c->cluster.must_exist = !c->options->may_create;
		return task_wait(t, CONTROL_OPENED);
	case CONTROL_OPENED:
		return opened(c);
	case CONTROL_RUNNING:
		if (c->is_unfinished)
			return refuse_unfinished(c);
		return task_wait(t, CONTROL_RUNNING); /* until it is told to stop */
	}
	abort();
}

/* --- stopping ----------------------------------------------------------------------------------
 */

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
	if (c->has_started && !c->leadership_stop.leadership) {
		leadership_stop(&c->leadership_stop, t, &c->leadership);
		return task_wait(t, CONTROL_STOPPING);
	}
	if (c->admin_requests > 0)
		return task_wait(t, CONTROL_STOPPING);
	loop_stop(c->loop);
	return task_done(t, OK);
}

static void on_stop(void *context)
{
	struct control *c = context;

	if (c->is_stopping || !task_is_running(&c->task))
		return;
	log_info("stopping");
	role_page_close(&c->page);
	c->is_stopping = true;
	if (task_is_running(&c->cluster.task))
		task_cancel(&c->cluster.task);
	if (task_is_running(&c->sleep.task))
		task_cancel(&c->sleep.task);
	leadership_quit(&c->leadership);
	task_wake(&c->task);
}

/* --- what it tells of itself -------------------------------------------------------------------
 */

static void write_numbers(void *context, struct exposition *e)
{
	control_numbers_write(context, e);
}

static void check(void *context, struct readiness *r)
{
	const struct control *c = context;
	const char *why;
	bool is_settled = leadership_is_settled(&c->leadership, &why);

	readiness_add(r, "control", "journal", is_settled, why);
}

/* --- main --------------------------------------------------------------------------------------
 */

static const char *const control_places[] = { "open", "opened", "running", "stopping" };
static const struct task_kind control_kind = {
	.name = "control",
	.places = control_places,
	.place_count = 4,
	.step = control_step,
};

int control_role_main(char **argv)
{
	static struct options options;
	static struct control c = { .options = &options, .retry_ms = LEADERSHIP_RETRY_MS_MIN };
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
		err = journal_buckets_open(&c.buckets, options.values[OPTION_JOURNAL],
					   options.is_sealed ? &c.keys : NULL, why);
	if (err) {
		supervisor_tell_fatal(why);
		return EXIT_CONFIG;
	}
	if (options.is_sealed)
		peer_identity_init(&c.identity, &c.keys);
	buf_init(&c.numbers);
	c.loop = loop_new(0);
	stop_install(c.loop, on_stop, &c);
	task_start_root(&c.task, &control_kind, c.loop);
	c.page = role_page_open(&(struct role_page_config) { .loop = c.loop,
							     .options = &options,
							     .process = ROLE_CONTROL,
							     .write = write_numbers,
							     .check = check,
							     .context = &c });
	loop_run(c.loop);
	if ((c.task.err && !c.is_stopping) || c.is_unfinished)
		status = EXIT_CONFIG;
	if (c.task.err && status && c.has_started)
		return status; /* what it has is under way */
	role_page_close(&c.page);
	journal_buckets_finish(&c.buckets, c.loop);
	loop_free(c.loop);
	journal_buckets_close(&c.buckets);
	peer_identity_done(&c.identity);
	keyring_done(&c.keys);
	buf_done(&c.numbers);
	return status;
}

#include "server/leadership.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/random.h"
#include "base/text.h"
#include "server/options.h"
#include "server/supervisor.h"

uint64_t leadership_pause_ms(uint64_t *retry_ms)
{
	struct prng jitter = { random_u64() };
	uint64_t pause_ms = *retry_ms + prng_below(&jitter, LEADERSHIP_JITTER_MS);

	*retry_ms *= 2;
	if (*retry_ms > LEADERSHIP_RETRY_MS_MAX)
		*retry_ms = LEADERSHIP_RETRY_MS_MAX;
	return pause_ms;
}

/* --- what the leader tells ---------------------------------------------------------------------
 */

static void on_leading(void *context)
{
	struct leadership *l = context;
	struct leader_status status;

	leader_get_status(l->leader, &status);
	log_info("leads the journal in epoch %llu from record %llu on",
		 (unsigned long long)status.epoch.counter,
		 (unsigned long long)status.committed_index);
	supervisor_tell_status("leads");
	l->retry_ms = LEADERSHIP_RETRY_MS_MIN;
	older_led(&l->older, status.epoch);
	l->config.on_leading(l->config.context);
	if (task_is_running(&l->task))
		task_wake(&l->task);
}

static void on_lost(void *context, const char *why, const char *holder)
{
	struct leadership *l = context;

	l->is_lost = true;
	snprintf(l->lost_why, sizeof(l->lost_why), "%s", why);
	snprintf(l->holder, sizeof(l->holder), "%s", holder);
	l->config.on_lost(l->config.context, why);
	if (task_is_running(&l->task))
		task_wake(&l->task);
}

static void on_committed(void *context, uint64_t index, struct slice record)
{
	struct leadership *l = context;

	l->config.on_committed(l->config.context, index, record);
}

static const struct leader_watcher watcher = {
	.on_leading = on_leading,
	.on_lost = on_lost,
	.on_committed = on_committed,
};

void leadership_refuse(struct leadership *l, const struct leader_position *seen, struct slice node)
{
	struct leader_status status;

	leader_get_status(l->leader, &status);
	older_proven(&l->older, seen, node, status.committed_index, l->config.buckets_text);
	leader_know(l->leader, seen);
	leader_refuse(l->leader, "an agent has seen more of it");
}

bool leadership_is_settled(const struct leadership *l, const char **ret_why)
{
	*ret_why = "the buckets have not answered yet";
	if (!l->leader)
		return false;
	*ret_why = l->lost_why[0] ? l->lost_why : "nobody is known to lead the journal";
	return leadership_is_leading(l) ||
	       (leader_state(l->leader) == LEADER_IDLE && task_is_running(&l->heartbeat.task) &&
		l->heartbeat.is_reached);
}

bool leadership_is_leading(const struct leadership *l)
{
	return l->leader && leader_state(l->leader) == LEADER_LEADING;
}

struct heartbeat_answer leadership_answer(const struct leadership *l)
{
	struct leader_status status;

	leader_get_status(l->leader, &status);
	return (struct heartbeat_answer) {
		.is_leading = status.state == LEADER_LEADING,
		.is_starting = status.state == LEADER_CAMPAIGNING,
		.epoch = status.epoch,
		.committed_index = status.committed_index,
	};
}

/* --- who leads ---------------------------------------------------------------------------------
 */

enum {
	LEADERSHIP_FIND,
	LEADERSHIP_FOUND,
	LEADERSHIP_STANDBY,
	LEADERSHIP_CAMPAIGN,
	LEADERSHIP_LEADING,
	LEADERSHIP_QUITTING,
};

static enum step pause_then_find(struct leadership *l, uint64_t pause_ms)
{
	sleep_start(&l->sleep, &l->task, loop_now_ms(l->loop) + pause_ms);
	return task_wait(&l->task, LEADERSHIP_FIND);
}

static enum step campaign(struct leadership *l)
{
	struct leader_warm warm;

	l->is_lost = false;
	standby_take(l->standby, &warm);
	if (warm.cell)
		leader_know(l->leader,
			    &(struct leader_position) { warm.index, cell_hash(warm.cell) });
	leader_campaign_warm(l->leader, &warm);
	return task_wait(&l->task, LEADERSHIP_CAMPAIGN);
}

/* Says it again and again: nobody is served meanwhile. */
static enum step wait_for_newer(struct leadership *l)
{
	log_error("%s", l->older.text);
	supervisor_tell_status(l->older.text);
	return pause_then_find(l, OLDER_RETRY_MS);
}

/* The leader does not answer: run against it, unless it has come back too often for a dead one. */
static enum step challenge(struct leadership *l)
{
	char text[RIVAL_TEXT_BYTES];
	uint64_t pause_ms = 0;

	if (!older_found(&l->older, &l->find, l->config.bucket_count, l->config.buckets_text))
		return wait_for_newer(l);
	if (l->find.address[0])
		pause_ms = rival_challenge(&l->rival, l->find.address, l->find.node, l->find.epoch);
	if (pause_ms == 0)
		return campaign(l);
	rival_describe(&l->rival, l->config.address, text);
	log_error("%s  Letting it lead for %llu s.", text, (unsigned long long)(pause_ms / 1000));
	supervisor_tell_status(text);
	return pause_then_find(l, pause_ms);
}

static void on_heartbeat_answer(void *context, uint64_t committed)
{
	struct leadership *l = context;

	if (committed > 0)
		standby_aim(l->standby, l->find.epoch, committed);
	l->config.on_leader(l->config.context, l->holder);
}

/* Nobody else has a claim: nobody ever led, or it was this node in an earlier life. */
static enum step found(struct leadership *l)
{
	struct address address;

	if (l->find.task.err && l->find_failures++ < LEADERSHIP_FINDS_MAX) {
		log_warn("who leads cannot be read: %s", err_name(l->find.task.err));
		return pause_then_find(l, leadership_pause_ms(&l->retry_ms));
	}
	if (l->find.task.err) {
		l->find_failures = 0;
		return campaign(l); /* it says what is wrong */
	}
	l->find_failures = 0;
	snprintf(l->holder, sizeof(l->holder), "%s", l->find.address);
	rival_found(&l->rival, l->find.address, l->find.node, l->find.epoch);
	if (l->holder[0] == '\0' || strcmp(l->holder, l->config.address) == 0 ||
	    rival_is_denied(&l->rival, l->find.epoch) ||
	    text_host_port(l->holder, address.host, sizeof(address.host), &address.port))
		return challenge(l);
	log_info("stands by: %s leads", l->holder);
	supervisor_tell_status("stands by");
	heartbeat_start(&l->heartbeat, &l->task, address.host, address.port, l->config.asks,
			l->config.address, l->find.epoch);
	l->heartbeat.on_committed = on_heartbeat_answer;
	l->heartbeat.context = l;
	return task_wait(&l->task, LEADERSHIP_STANDBY);
}

static enum step heartbeat_ended(struct leadership *l)
{
	if (l->heartbeat.has_led)
		older_led(&l->older, l->find.epoch);
	if (l->heartbeat.is_reached)
		rival_reached(&l->rival);
	l->config.on_leader(l->config.context, "");
	switch ((int)l->heartbeat.task.err) {
	case ERR_DENIED:
	case ERR_CORRUPT:
		log_warn("%s cannot be asked whether it leads: %s", l->holder,
			 l->heartbeat.task.why);
		return challenge(l);
	case ERR_CONFLICT:
		rival_denied(&l->rival, l->find.epoch);
		return pause_then_find(l, HEARTBEAT_MS);
	case ERR_TIMEOUT:
		log_warn("%s has been silent for %d ms", l->holder, HEARTBEAT_SILENCE_MS);
		return challenge(l);
	default:
		log_warn("%s is gone", l->holder);
		return challenge(l);
	}
}

static void cancel_waits(struct leadership *l)
{
	struct task *waits[] = { &l->find.task, &l->heartbeat.task, &l->sleep.task,
				 &l->fence.task };

	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++)
		if (task_is_running(waits[i]))
			task_cancel(waits[i]);
}

static enum step lost(struct leadership *l, const char *what)
{
	struct leader_status status;

	if (l->task.children > 0) { /* the watch for pauses */
		cancel_waits(l);
		return task_wait(&l->task, l->task.at);
	}
	l->is_lost = false;
	rival_own(&l->rival, leader_epoch(l->leader));
	log_warn("%s: %s", what, l->lost_why);
	leader_get_status(l->leader, &status);
	if (status.is_refused)
		older_refused(&l->older, l->lost_why, l->config.buckets_text);
	if (status.is_refused || l->older.is_proven)
		return wait_for_newer(l);
	supervisor_tell_status(l->lost_why);
	return pause_then_find(l, leadership_pause_ms(&l->retry_ms));
}

/* Nothing tells a leader that was stopped, with its whole machine perhaps, that another one leads
 * now; without clients it would not find out.  So it looks when it sees that time has passed it by.
 */
static enum step watch_for_pauses(struct leadership *l)
{
	uint64_t now_ms = loop_now_ms(l->loop);

	if (task_is_running(&l->sleep.task))
		return task_wait(&l->task, LEADERSHIP_LEADING);
	bool was_stopped = l->tick_ms && now_ms - l->tick_ms > HEARTBEAT_SILENCE_MS;
	bool is_open = l->fence.task.err == ERR_TIMEOUT; /* the last answer was none */
	if ((was_stopped || is_open) && !task_is_running(&l->fence.task)) {
		if (was_stopped)
			log_warn("was stopped for %llu ms: does it still lead?",
				 (unsigned long long)(now_ms - l->tick_ms));
		leader_fence(&l->fence, &l->task, l->leader);
	}
	l->tick_ms = now_ms;
	sleep_start(&l->sleep, &l->task, now_ms + HEARTBEAT_MS);
	return task_wait(&l->task, LEADERSHIP_LEADING);
}

static enum step leadership_step(struct task *t)
{
	struct leadership *l = CONTAINER(t, struct leadership, task);

	if (l->is_quitting)
		return t->children > 0 ? task_wait(t, LEADERSHIP_QUITTING) : task_done(t, OK);
	switch (t->at) {
	case LEADERSHIP_FIND:
		holder_find(&l->find, t, l->config.buckets, l->config.bucket_count,
			    l->config.journal);
		return task_wait(t, LEADERSHIP_FOUND);
	case LEADERSHIP_FOUND:
		return found(l);
	case LEADERSHIP_STANDBY:
		return heartbeat_ended(l);
	case LEADERSHIP_CAMPAIGN:
		if (l->is_lost)
			return lost(l, "could not lead");
		if (leader_state(l->leader) != LEADER_LEADING)
			return task_wait(t, LEADERSHIP_CAMPAIGN);
		l->tick_ms = 0;
		return watch_for_pauses(l);
	case LEADERSHIP_LEADING:
		if (l->is_lost)
			return lost(l, "no longer leads");
		return watch_for_pauses(l);
	}
	abort();
}

static const char *const places[] = {
	"find", "found", "standby", "campaign", "leading", "quitting"
};
static const struct task_kind leadership_kind = {
	.name = "leadership",
	.places = places,
	.place_count = 6,
	.step = leadership_step,
};

/* --- life --------------------------------------------------------------------------------------
 */

void leadership_init(struct leadership *l, struct loop *loop,
		     const struct leadership_config *config)
{
	l->loop = loop;
	l->config = *config;
	l->retry_ms = LEADERSHIP_RETRY_MS_MIN;
	l->leader = leader_new(loop, &(struct leader_config) {
					     .buckets = config->buckets,
					     .bucket_count = config->bucket_count,
					     .journal = config->journal,
					     .node = config->host,
					     .address = config->address,
					     .cell_name = config->cell_name,
					     .schema = config->schema,
					     .schema_count = config->schema_count,
					     .watcher = &watcher,
					     .context = l,
					     .appends_per_s = config->appends_per_s,
				     });
	l->standby = standby_new(loop, &(struct standby_config) {
					       .buckets = config->buckets,
					       .bucket_count = config->bucket_count,
					       .journal = config->journal,
					       .cell_name = config->cell_name,
				       });
}

void leadership_start(struct leadership *l, struct task *parent)
{
	task_start(&l->task, &leadership_kind, parent);
}

void leadership_quit(struct leadership *l)
{
	l->is_quitting = true;
	if (!task_is_running(&l->task))
		return;
	cancel_waits(l);
	task_wake(&l->task);
}

static enum step stop_step(struct task *t)
{
	struct leadership *l = CONTAINER(t, struct leadership_stop, task)->leadership;

	if (t->children > 0)
		return task_wait(t, 0);
	if (l->leader) {
		if (l->leader_stop.leader == NULL) {
			leader_stop(&l->leader_stop, t, l->leader);
			return task_wait(t, 0);
		}
		leader_free(l->leader);
		l->leader = NULL;
	}
	if (l->standby) {
		if (l->standby_stop.standby == NULL) {
			standby_stop(&l->standby_stop, t, l->standby);
			return task_wait(t, 0);
		}
		standby_free(l->standby);
		l->standby = NULL;
	}
	return task_done(t, OK);
}

void leadership_stop(struct leadership_stop *stop, struct task *parent, struct leadership *l)
{
	static const struct task_kind kind = { .name = "leadership_stop", .step = stop_step };

	assert(l->is_quitting && !task_is_running(&l->task));
	stop->leadership = l;
	task_start(&stop->task, &kind, parent);
}

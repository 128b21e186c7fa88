/* A member is a task that goes round:
 *
 *	pausing -> dialing -> registering -> up
 *	   ^----------+-----------+----------'   whatever failed
 *	                          '-> stopped    until member_register()
 *
 * A connection serves until it fails.  Registering is left out when control is known to know us:
 * after a loss of the connection only the map stream is asked for again. */
#include "mesh/member/member.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "mesh/member/private.h"
#include "wire/control/register.h"
#include "wire/crypto/wipe.h"
#include "wire/crypto/x25519.h"

enum {
	MEMBER_AT_PAUSE,
	MEMBER_AT_DIAL,
	MEMBER_AT_REGISTER,
	MEMBER_AT_UP,
	MEMBER_AT_STOP,
	MEMBER_PLACES,
};
static const char *const member_places[] = { "pausing", "dialing", "registering", "up", "stopped" };

/* --- telling ---------------------------------------------------------------------------------- */
void member_set_why(struct member *m, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(m->why, sizeof(m->why), format, arguments);
	va_end(arguments);
	for (char *p = m->why; *p; p++) /* a server's words end on somebody's terminal */
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
}

static void tell_state(struct deferred *d)
{
	struct member *m = CONTAINER(d, struct member, tell);
	struct member_state state = member_get_state(m);

	if (m->config.on_state && !m->is_freed)
		m->config.on_state(m->config.context, &state);
}

void member_set_place(struct member *m, enum member_place place)
{
	m->place = place;
	deferred_set(&m->tell, m->loop, tell_state);
}

void member_wake(struct member *m)
{
	if (task_is_running(&m->task))
		task_wake(&m->task);
}

static void on_timer(struct timer *t)
{
	member_wake(CONTAINER(t, struct member, timer));
}

static void wake_at(struct member *m, uint64_t at_ms)
{
	timer_set(&m->timer, m->loop, at_ms, on_timer);
}

struct member_state member_get_state(const struct member *m)
{
	return (struct member_state) {
		.place = m->place,
		.url = m->targets[m->target].url.text,
		.auth_url = m->place == MEMBER_WAITING ? m->auth_url : "",
		.why = m->why,
		.is_authorized = m->netmap.self && m->netmap.self->is_authorized,
		.up_since_ms = m->place == MEMBER_UP ? m->up_since_ms : 0,
		.heard_ms = m->heard_ms,
	};
}

/* --- control URLs ----------------------------------------------------------------------------- */
static bool add_target(struct member *m, struct slice text)
{
	struct control_url url;

	if (m->target_count >= MEMBER_URLS_MAX || control_url_parse(text, &url))
		return false;
	for (size_t i = 0; i < m->target_count; i++)
		if (slice_equal(slice_from(m->targets[i].url.text), text))
			return true;
	dial_target_init(&m->targets[m->target_count++], &url);
	return true;
}

/* A realm with several servers says where they are; only with a pinned key are they the same. */
static void learn_targets(struct member *m)
{
	if (mesh_key_is_zero(&m->config.server_key))
		return;
	for (size_t i = 0; i < m->netmap.control_url_count; i++)
		(void)add_target(m, slice_from(m->netmap.control_urls[i]));
}

/* --- the connection --------------------------------------------------------------------------- */
static void close_channel(struct member *m)
{
	if (!m->channel)
		return;
	if (!m->is_channel_ended)
		member_drop_calls(m);
	channel_close(m->channel, 0);
	m->channel = NULL;
	m->is_channel_ended = false;
	m->map = NULL;
	m->registering.exchange = m->update.exchange = NULL;
	m->registering.is_done = m->update.is_done = false;
	m->is_map_lost = false;
	m->probe_by_ms = 0;
	m->answer_count = 0;
	buf_clear(&m->frames);
	buf_clear(&m->told);
}

static enum step stop_at(struct member *m, enum member_place place)
{
	close_channel(m);
	m->wants = 0;
	m->log_out_by_ms = 0;
	timer_clear(&m->timer);
	member_set_place(m, place);
	return task_wait(&m->task, MEMBER_AT_STOP);
}

/* Try again, elsewhere if there is somewhere, after a time that nobody else draws. */
static enum step pause(struct member *m)
{
	uint64_t now = loop_now_ms(m->loop);

	if (m->place != MEMBER_CONNECTING && m->why[0])
		log_info("control: %s; trying again", m->why);
	close_channel(m);
	learn_targets(m);
	m->target = (m->target + 1) % m->target_count;
	m->pause_until_ms = now + random_u64() % m->pause_max_ms + 1;
	m->pause_max_ms *= 2;
	if (m->pause_max_ms > MEMBER_PAUSE_MS_MAX)
		m->pause_max_ms = MEMBER_PAUSE_MS_MAX;
	member_set_place(m, MEMBER_CONNECTING);
	wake_at(m, m->pause_until_ms);
	return task_wait(&m->task, MEMBER_AT_PAUSE);
}

static enum step step_pause(struct member *m)
{
	uint64_t now = loop_now_ms(m->loop);

	if (m->log_out_by_ms && now >= m->log_out_by_ms)
		return stop_at(m, MEMBER_LOGGED_OUT);
	if (now < m->pause_until_ms && !m->hurries) {
		wake_at(m, m->pause_until_ms);
		return task_wait(&m->task, MEMBER_AT_PAUSE);
	}
	m->hurries = false;
	struct dial_config config = {
		.target = &m->targets[m->target],
		.server_key = m->server_key,
		.machine_secret = m->config.machine_secret,
		.version = MEMBER_VERSION,
	};
	member_channel_callbacks(m, &config);
	dial_start(&m->dial, &m->task, &config);
	crypto_wipe(&config.machine_secret, sizeof(config.machine_secret));
	task_set_deadline(&m->dial.task, now + MEMBER_CONNECT_MS);
	if (m->log_out_by_ms)
		wake_at(m, m->log_out_by_ms);
	return task_wait(&m->task, MEMBER_AT_DIAL);
}

/* --- registering ------------------------------------------------------------------------------ */
static enum step start_map(struct member *m)
{
	m->needs_registration = false;
	m->is_map_refused = false;
	m->auth_url[0] = 0;
	m->update_at_ms = 0;
	m->heard_ms = loop_now_ms(m->loop);
	if (!member_call_map(m))
		return pause(m);
	task_wake(&m->task);
	return task_wait(&m->task, MEMBER_AT_UP);
}

static void make_node_key(struct member *m)
{
	m->old_node_secret = m->node_secret;
	random_bytes(m->node_secret.bytes, sizeof(m->node_secret.bytes));
	x25519_clamp(m->node_secret.bytes);
	m->is_key_new = true;
	m->renews_key = false;
	m->holds_join_key_back = false;
	m->auth_url[0] = 0;
	if (m->config.on_node_secret)
		m->config.on_node_secret(m->config.context, &m->node_secret);
}

static enum step start_registration(struct member *m)
{
	bool is_log_out = m->wants & WANT_LOG_OUT;

	if (is_log_out) {
		m->auth_url[0] = 0;
	} else {
		m->wants &= ~(unsigned)WANT_REGISTER;
		if (m->renews_key)
			make_node_key(m);
	}
	member_set_place(m, m->auth_url[0] ? MEMBER_WAITING : MEMBER_REGISTERING);
	if (!member_call_register(m, is_log_out))
		return pause(m);
	m->register_by_ms = loop_now_ms(m->loop) + MEMBER_REGISTER_MS;
	if (is_log_out)
		wake_at(m, m->log_out_by_ms);
	else if (m->auth_url[0])
		timer_clear(&m->timer); /* a person may take any time */
	else
		wake_at(m, m->register_by_ms);
	return task_wait(&m->task, MEMBER_AT_REGISTER);
}

static enum step step_dial(struct member *m)
{
	if (m->task.children > 0) {
		if (m->log_out_by_ms && loop_now_ms(m->loop) >= m->log_out_by_ms)
			task_cancel(&m->dial.task);
		return task_wait(&m->task, MEMBER_AT_DIAL);
	}
	if (m->dial.task.err) {
		member_set_why(m, "%s: %s", m->targets[m->target].url.text,
			       m->dial.task.why[0] ? m->dial.task.why : err_name(m->dial.task.err));
		m->server_key = m->config.server_key; /* what is not pinned may be another one */
		return pause(m);
	}
	m->channel = m->dial.channel;
	m->is_channel_ended = false;
	m->server_key = m->dial.server_key;
	if (!m->needs_registration && !(m->wants & (WANT_REGISTER | WANT_LOG_OUT)))
		return start_map(m);
	m->holds_join_key_back = m->netmap.self && !m->is_key_new;
	return start_registration(m);
}

/* The key is too old: with a join key we can have another one at once, else a person has to ask. */
static enum step renew_key(struct member *m)
{
	member_set_why(m, "the key of this machine has expired");
	if (!m->join_key[0] || m->is_key_new)
		return stop_at(m, MEMBER_EXPIRED);
	make_node_key(m);
	return start_registration(m);
}

static enum step wait_for_person(struct member *m, struct slice auth_url)
{
	bool is_same = slice_equal(auth_url, slice_from(m->auth_url));

	if (auth_url.size >= sizeof(m->auth_url) || control_url_path(auth_url).size == 0) {
		member_set_why(m, "control sends people to a place that is none");
		return stop_at(m, MEMBER_REFUSED);
	}
	memcpy(m->auth_url, auth_url.data, auth_url.size);
	m->auth_url[auth_url.size] = 0;
	member_set_why(m, "this machine has to be approved");
	member_set_place(m, MEMBER_WAITING);
	if (!is_same)
		return start_registration(m);
	/* asked again without waiting for anybody: not too often */
	m->needs_registration = true;
	enum step step = pause(m);
	m->place = MEMBER_WAITING;
	return step;
}

static enum step take_registration(struct member *m, const struct control_register_response *r)
{
	if (r->error.size > 0) {
		member_set_why(m, "%.*s", SLICE_ARG(slice_part(r->error, 0, MEMBER_WHY_BYTES - 1)));
		return stop_at(m, MEMBER_REFUSED);
	}
	if (r->is_key_expired)
		return renew_key(m);
	if (r->auth_url.size > 0 && m->holds_join_key_back && m->join_key[0]) {
		m->holds_join_key_back = false;
		return start_registration(m);
	}
	if (r->auth_url.size > 0)
		return wait_for_person(m, r->auth_url);
	m->is_key_new = false;
	memset(&m->old_node_secret, 0, sizeof(m->old_node_secret));
	return start_map(m);
}

static enum step step_register(struct member *m)
{
	struct control_register_response response;
	bool is_log_out = m->wants & WANT_LOG_OUT;
	uint64_t now = loop_now_ms(m->loop);

	if (is_log_out &&
	    (now >= m->log_out_by_ms || m->is_channel_ended || m->registering.is_done)) {
		if (!m->registering.is_done || m->registering.err)
			member_set_why(m, "control was not told");
		return stop_at(m, MEMBER_LOGGED_OUT);
	}
	if (m->is_channel_ended)
		return pause(m);
	if ((m->wants & WANT_REGISTER) && m->auth_url[0]) {
		member_drop_calls(m); /* there is a key now: nobody has to be waited for */
		m->auth_url[0] = 0;
		return start_registration(m);
	}
	if (!m->registering.is_done) {
		if (m->auth_url[0] || is_log_out || now < m->register_by_ms)
			return task_wait(&m->task, MEMBER_AT_REGISTER);
		member_set_why(m, "control does not answer");
		return pause(m);
	}
	struct arena a;
	arena_init(&a);
	enum err err = m->registering.err ? m->registering.err : ERR_UNAVAILABLE;
	if (m->registering.status == 200 && !m->registering.err)
		err = control_register_response_decode(&a, buf_slice(&m->registering.answer),
						       &response);
	enum step step;
	if (err) {
		member_set_why(m, "control does not register this machine: status %d (%s)",
			       m->registering.status, err_name(err));
		step = pause(m);
	} else {
		step = take_registration(m, &response);
	}
	arena_done(&a);
	return step;
}

/* --- up --------------------------------------------------------------------------------------- */
static bool is_expired(const struct member *m)
{
	const struct control_node *self = m->netmap.self;

	return m->place == MEMBER_UP && self &&
	       (self->is_expired ||
		(self->key_expiry_s > 0 && self->key_expiry_s <= clock_wall_ms() / 1000));
}

/* After a change of the network a connection may lead nowhere, and nothing says so for minutes. */
static void probe(struct member *m, uint64_t now)
{
	if (m->is_channel_ended)
		return;
	struct http2 *http2 = channel_http2(m->channel);
	if (m->probe_by_ms && http2_pong_count(http2) != m->probe_pongs)
		m->probe_by_ms = 0;
	if (m->probe_by_ms && now >= m->probe_by_ms) {
		member_set_why(m, "control does not answer after the network changed");
		m->is_map_lost = true;
	}
	if (m->hurries && !m->probe_by_ms) {
		m->probe_by_ms = now + MEMBER_PROBE_MS;
		m->probe_pongs = http2_pong_count(http2);
		http2_ping(http2);
	}
	m->hurries = false;
}

static enum step step_up(struct member *m)
{
	uint64_t now = loop_now_ms(m->loop);

	if (m->wants & (WANT_LOG_OUT | WANT_REGISTER)) {
		member_drop_calls(m);
		return m->is_channel_ended ? pause(m) : start_registration(m);
	}
	probe(m, now);
	if (now >= m->heard_ms + m->config.silence_ms) {
		member_set_why(m, "control has been silent for too long");
		m->is_map_lost = true;
	}
	if (m->is_map_lost || m->is_channel_ended) {
		m->needs_registration |= m->is_map_refused;
		return pause(m);
	}
	if (is_expired(m)) {
		m->needs_registration = true;
		member_drop_calls(m);
		return renew_key(m);
	}
	if (m->update.is_done && (m->update.err || m->update.status >= 300)) {
		buf_clear(&m->told); /* once more, with the next change or connection */
		log_debug("control does not take an update: status %d", m->update.status);
	}
	m->update.is_done = false;
	member_call_update(m);
	uint64_t at = m->heard_ms + m->config.silence_ms;
	if (m->update_at_ms > now && m->update_at_ms < at)
		at = m->update_at_ms;
	if (m->probe_by_ms && m->probe_by_ms < at)
		at = m->probe_by_ms;
	wake_at(m, at);
	return task_wait(&m->task, MEMBER_AT_UP);
}

static enum step step_stop(struct member *m)
{
	if (m->place == MEMBER_LOGGED_OUT)
		m->wants &= ~(unsigned)WANT_LOG_OUT;
	if (!m->wants)
		return task_wait(&m->task, MEMBER_AT_STOP);
	m->needs_registration = true;
	m->auth_url[0] = 0;
	m->pause_until_ms = 0;
	member_set_why(m, "%s", "");
	member_set_place(m, MEMBER_CONNECTING);
	return step_pause(m);
}

/* --- the task --------------------------------------------------------------------------------- */
static enum step member_step(struct task *t)
{
	struct member *m = CONTAINER(t, struct member, task);

	if (task_is_canceled(t)) {
		if (t->at == MEMBER_AT_DIAL && !m->channel && m->dial.task.err == OK)
			m->channel = m->dial.channel;
		close_channel(m);
		return task_done(t, ERR_CANCELED);
	}
	switch (t->at) {
	case MEMBER_AT_PAUSE:
		return step_pause(m);
	case MEMBER_AT_DIAL:
		return step_dial(m);
	case MEMBER_AT_REGISTER:
		return step_register(m);
	case MEMBER_AT_UP:
		return step_up(m);
	case MEMBER_AT_STOP:
		return step_stop(m);
	}
	abort();
}

static void free_texts(struct member *m)
{
	crypto_wipe(m->join_key, strlen(m->join_key));
	memory_free(m->join_key);
}

static void release(struct member *m)
{
	timer_clear(&m->timer);
	deferred_clear(&m->tell);
	netmap_done(&m->netmap);
	arena_done(&m->facts.a);
	buf_done(&m->told);
	buf_done(&m->frames);
	buf_done(&m->registering.answer);
	buf_done(&m->update.answer);
	free_texts(m);
	for (size_t i = 0; i < m->target_count; i++)
		dial_target_done(&m->targets[i]);
	crypto_wipe(m, sizeof(*m));
	memory_free(m);
}

static void on_task_end(struct task *t)
{
	release(CONTAINER(t, struct member, task));
}

static const struct task_kind member_kind = {
	.name = "member",
	.places = member_places,
	.place_count = MEMBER_PLACES,
	.step = member_step,
	.on_end = on_task_end,
};

/* --- what the owner calls --------------------------------------------------------------------- */
struct member *member_new(struct loop *loop, const struct member_config *config)
{
	struct member *m = NEW(struct member);

	m->magic = MEMBER_MAGIC;
	m->loop = loop;
	m->config = *config;
	m->config.urls = NULL;
	m->config.join_key = NULL;
	if (!m->config.silence_ms)
		m->config.silence_ms = MEMBER_SILENCE_MS;
	m->join_key = memory_copy_text(config->join_key ? config->join_key : "");
	m->node_secret = config->node_secret;
	m->server_key = config->server_key;
	m->needs_registration = true;
	m->pause_max_ms = MEMBER_PAUSE_MS_MIN;
	arena_init(&m->facts.a);
	netmap_init(&m->netmap);
	for (size_t i = 0; i < config->url_count; i++)
		if (!add_target(m, slice_from(config->urls[i])))
			log_warn("control: \"%s\" is no URL of a control server", config->urls[i]);
	m->configured_count = m->target_count;
	return m;
}

void member_free(struct member *m)
{
	assert(m->magic == MEMBER_MAGIC && !m->is_freed);
	m->is_freed = true;
	m->config.on_state = NULL;
	m->config.on_change = NULL;
	m->config.on_node_secret = NULL;
	m->config.on_ping = NULL;
	if (task_is_running(&m->task))
		task_cancel(&m->task);
	else
		release(m);
}

void member_start(struct member *m)
{
	assert(m->magic == MEMBER_MAGIC && !task_is_running(&m->task));
	if (m->target_count == 0) {
		member_set_why(m, "there is no URL of a control server");
		member_set_place(m, MEMBER_REFUSED);
		return;
	}
	task_start_root(&m->task, &member_kind, m->loop);
	member_set_place(m, MEMBER_CONNECTING);
}

enum err member_load(struct member *m, struct slice json)
{
	struct control_map_response response;
	struct netmap_change change;
	struct arena a;

	arena_init(&a);
	enum err err = control_map_response_decode(&a, json, &response);
	if (!err)
		err = netmap_apply(&m->netmap, &a, &response, &change);
	arena_done(&a);
	if (!err)
		learn_targets(m);
	return err;
}

static void want(struct member *m, unsigned what)
{
	m->wants |= what;
	m->hurries = true;
	member_wake(m);
}

void member_register(struct member *m, const char *join_key, bool is_new_key)
{
	free_texts(m);
	m->join_key = memory_copy_text(join_key);
	m->needs_registration = true;
	m->renews_key |= is_new_key;
	want(m, WANT_REGISTER);
}

void member_forget_join_key(struct member *m)
{
	free_texts(m);
	m->join_key = memory_copy_text("");
}

void member_log_out(struct member *m, uint64_t timeout_ms)
{
	m->log_out_by_ms = loop_now_ms(m->loop) + timeout_ms;
	want(m, WANT_LOG_OUT);
}

void member_hurry(struct member *m)
{
	want(m, 0);
}

static struct slice *copy_slices(struct arena *a, const struct slice *from, size_t count)
{
	struct slice *copy = arena_take_array(a, count, sizeof(*copy));

	for (size_t i = 0; i < count; i++)
		copy[i] = arena_copy(a, from[i]);
	return copy;
}

static void *copy_array(struct arena *a, const void *from, size_t count, size_t size)
{
	return count ? (void *)(uintptr_t)arena_copy(a, (struct slice) { from, count * size }).data
		     : NULL;
}

static void copy_hostinfo(struct arena *a, const struct control_hostinfo *from,
			  struct control_hostinfo *ret)
{
	struct control_service *services;

	*ret = *from;
	ret->json = (struct slice) { 0 };
	ret->hostname = arena_copy(a, from->hostname);
	ret->os = arena_copy(a, from->os);
	ret->version = arena_copy(a, from->version);
	ret->routes = copy_array(a, from->routes, from->route_count, sizeof(*from->routes));
	ret->request_tags = copy_slices(a, from->request_tags, from->request_tag_count);
	services = arena_take_array(a, from->service_count, sizeof(*services));
	for (size_t i = 0; i < from->service_count; i++) {
		services[i] = from->services[i];
		services[i].proto = arena_copy(a, from->services[i].proto);
		services[i].description = arena_copy(a, from->services[i].description);
	}
	ret->services = services;
}

void member_update(struct member *m, const struct member_about *about)
{
	struct member_facts facts = { .about = *about };
	struct arena *a = &facts.a;

	arena_init(a);
	facts.about.endpoints =
		copy_array(a, about->endpoints, about->endpoint_count, sizeof(*about->endpoints));
	facts.about.endpoint_kinds =
		about->endpoint_kinds ? copy_array(a, about->endpoint_kinds, about->endpoint_count,
						   sizeof(*about->endpoint_kinds))
				      : NULL;
	copy_hostinfo(a, &about->hostinfo, &facts.about.hostinfo);
	arena_done(&m->facts.a);
	m->facts = facts;
	member_wake(m);
}

const struct netmap *member_netmap(const struct member *m)
{
	return &m->netmap;
}

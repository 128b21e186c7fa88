/* The mesh process: a node, and what it needs of the disk and of people. */
#include "server/mesh_role.h"

#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "loop/mark.h"
#include "loop/stop.h"
#include "server/mesh_numbers.h"
#include "server/role_page.h"
#include "server/serve.h"
#include "server/supervisor.h"
#include "server/up_options.h"
#include "wire/crypto/wipe.h"

enum {
	OWN_KEY_AGAIN_MS = 500,
	OWN_KEY_MS = 5000,
	OWN_KEY_REFUSED_MS = 2000, /* doubled with each refusal, */
	OWN_KEY_REFUSALS_MAX = 8,  /* as often */
	EXIT_NODE_MS = 20 * 1000,  /* a start waits for control to tell of the exit node */
	LOG_OUT_MS = 5000,
	HTTP_OK = 200,
	EXIT_AGAIN = 1
};

/* --- what is told ----------------------------------------------------------------------------- */
/* Once, to the person who started it. */
static void tell(struct mesh *m, const char *format, const char *text)
{
	char line[sizeof(m->told)];

	snprintf(line, sizeof(line), format, text);
	if (strcmp(line, m->told) == 0)
		return;
	memcpy(m->told, line, sizeof(m->told));
	supervisor_tell_status(line);
}

static void settle(struct timer *t)
{
	(void)t;
	memory_settle();
}

static void tell_ready(struct mesh *m);

static void fail(struct mesh *m, const char *why)
{
	log_error("%s", why);
	supervisor_tell_fatal(why);
	m->is_failed = true;
	loop_stop(m->loop);
}

static void on_exit_timer(struct timer *t)
{
	struct mesh *m = CONTAINER(t, struct mesh, exit_timer);

	m->is_exit_settled = true; /* control is away: what there is of the mesh goes on */
	tell_ready(m);
}

/* Whoever asks for an exit node that does not exist would believe to be behind it.  It is said
 * while somebody waits for this start; a node that goes away later is warned of, and no reason to
 * take the machine off the mesh.  False: it is not known yet. */
static bool settle_exit_node(struct mesh *m)
{
	const char *name = m->options->values[OPTION_EXIT_NODE];
	const struct control_node *self = node_netmap(m->node)->self;
	char line[sizeof(m->told)];

	if (m->is_exit_settled || name[0] == '\0' || supervisor_was_ready() ||
	    node_find(m->node, slice_from(name)) || !self->is_authorized) {
		timer_clear(&m->exit_timer);
		m->is_exit_settled = true;
		return true;
	}
	if (m->place != MEMBER_UP) {
		if (!m->is_exit_waited_for)
			timer_set(&m->exit_timer, m->loop, loop_now_ms(m->loop) + EXIT_NODE_MS,
				  on_exit_timer);
		m->is_exit_waited_for = true;
		tell(m, "No machine is known as %s, the --exit-node: control is asked", name);
		return false;
	}
	snprintf(line, sizeof(line),
		 "--exit-node %.100s: the mesh has no such machine, or several, or none that this "
		 "one "
		 "may know of",
		 name);
	fail(m, line);
	return false;
}

static void tell_ready(struct mesh *m)
{
	const struct netmap *map = node_netmap(m->node);
	char line[STATUS_LINE_BYTES_MAX], address[IP_TEXT_BYTES] = "";

	if (m->is_ready || m->is_failed || !map->self || map->self->address_count == 0 ||
	    !settle_exit_node(m))
		return;
	m->is_ready = true;
	ip_text(map->self->addresses[0].ip, address);
	struct slice label = control_node_label(map->self);
	snprintf(line, sizeof(line), "%.*s, %s, one of %zu of %s", SLICE_ARG(label), address,
		 map->peer_count + 1, map->domain);
	log_info("this machine is %s", line);
	supervisor_tell_ready(line);
	timer_set(&m->settle_timer, m->loop, loop_now_ms(m->loop) + MESH_SETTLE_MS, settle);
}

/* --- the disk --------------------------------------------------------------------------------- */
static void save(struct timer *t)
{
	struct mesh *m = CONTAINER(t, struct mesh, save_timer);
	struct buf text;

	m->is_unsaved = false;
	buf_init(&text);
	node_save(m->node, &text);
	enum err err = state_write(&m->state, STATE_NETMAP, buf_slice(&text));
	if (err)
		log_error("the map of the mesh cannot be kept for another start: %s",
			  err_name(err));
	buf_done(&text);
	mesh_joined_save(m);
}

static void load(struct mesh *m)
{
	struct buf text;

	if (m->is_moving) {
		log_info("--join is of another mesh than the one this machine was in");
		return;
	}
	buf_init(&text);
	enum err err = state_read(&m->state, STATE_NETMAP, STATE_FILE_BYTES_MAX, &text);
	if (!err)
		err = node_load(m->node, buf_slice(&text));
	if (err && err != ERR_NOT_FOUND)
		log_warn("the map of the mesh that was kept cannot be used: %s", err_name(err));
	m->is_joined = !err;
	buf_done(&text);
}

static void on_node_secret(void *context, const struct mesh_key *secret)
{
	struct mesh *m = context;
	char why[STATE_WHY_BYTES];

	m->keys.node = *secret;
	if (machine_keys_save_node(&m->state, &m->keys, why))
		fail(m, why);
}

/* --- a key from this machine's own control ---------------------------------------------------- */
enum { OWN_KEY_ASK, OWN_KEY_TOLD, OWN_KEY_PLACES };
static const char *const own_key_places[] = { "ask", "told" };

static void ask_own_control(struct timer *t);

static void start_node(struct mesh *m)
{
	if (!m->is_started)
		node_start(m->node);
	m->is_started = true;
}

static bool read_own_key(struct mesh *m)
{
	struct join_key key;
	json_t *answer = json_loadb((const char *)m->call.body.data, m->call.body.size, 0, NULL);
	const char *text = json_string_value(json_object_get(answer, "key"));
	bool is_key = text && join_key_parse(slice_from(text), &key) == OK;

	if (is_key) {
		snprintf(m->join_key, sizeof(m->join_key), "%s", key.secret);
		crypto_wipe(&key, sizeof(key));
		start_node(m);
		member_register(node_member(m->node), m->join_key, false);
		crypto_wipe(m->join_key, sizeof(m->join_key));
	}
	json_decref(answer);
	return is_key;
}

static enum step own_key_step(struct task *t)
{
	struct mesh *m = CONTAINER(t, struct mesh, own_key);
	char path[OPTION_VALUE_BYTES_MAX + 32];

	switch (t->at) {
	case OWN_KEY_ASK:
		if (task_is_canceled(t))
			return task_done(t, ERR_CANCELED);
		up_options_socket(m->options, "realm.sock", path);
		http_call_start(&m->call, t, path, "POST", "/v1/keys",
				SLICE("{\"expiry_s\":600,\"uses\":1,\"description\":\"the machine "
				      "that control runs on\"}"));
		task_set_deadline(&m->call.task, loop_now_ms(m->loop) + OWN_KEY_MS);
		return task_wait(t, OWN_KEY_TOLD);
	case OWN_KEY_TOLD: {
		bool is_over = task_is_canceled(t) ||
			       (!m->call.task.err && m->call.status == HTTP_OK && read_own_key(m));
		if (!is_over)
			timer_set(&m->key_timer, m->loop, loop_now_ms(m->loop) + OWN_KEY_AGAIN_MS,
				  ask_own_control);
		crypto_wipe(m->call.body.data, m->call.body.size);
		buf_done(&m->call.body);
		return task_done(t, OK);
	}
	}
	abort();
}

static const struct task_kind own_key_kind = {
	.name = "own key",
	.places = own_key_places,
	.place_count = OWN_KEY_PLACES,
	.step = own_key_step,
};

static void ask_own_control(struct timer *t)
{
	struct mesh *m = CONTAINER(t, struct mesh, key_timer);

	if (!task_is_running(&m->own_key) && !m->is_stopping)
		task_start_root(&m->own_key, &own_key_kind, m->loop);
}

/* --- leaving ---------------------------------------------------------------------------------- */
/* As if it had never been a member; who it is (the machine key) stays. */
static void forget(struct mesh *m)
{
	log_info("this machine has left the mesh");
	m->is_unsaved = false;
	timer_clear(&m->save_timer);
	state_remove(&m->state, STATE_NETMAP);
	state_remove(&m->state, STATE_JOINED);
	state_remove(&m->state, STATE_NODE_KEY);
	if (m->leaving) {
		char text[64];
		snprintf(text, sizeof(text), "{\"supervisor\":%ld}\n", (long)getppid());
		http_answer(m->leaving, HTTP_OK, "application/json", slice_from(text));
		m->leaving = NULL;
	}
	kill(getppid(), SIGTERM); /* all of `hanse up` */
}

void mesh_log_out(struct mesh *m, struct http_exchange *e)
{
	if (m->leaving) {
		http_answer(e, 409, "application/json", SLICE("{\"error\":\"it leaves\"}\n"));
		return;
	}
	m->leaving = e;
	member_log_out(node_member(m->node), LOG_OUT_MS);
}

/* --- what the node says ----------------------------------------------------------------------- */
static bool is_own_control(const struct mesh *m)
{
	return m->options->roles[ROLE_REALM] && !state_has(&m->state, STATE_JOINED) &&
	       m->options->values[OPTION_LOGIN_SERVER][0] == '\0' && m->url_count == 1;
}

/* A key that is refused at the first try: nobody waits for anything then. */
static void give_up(struct mesh *m, const char *why)
{
	char line[sizeof(m->told)];

	snprintf(line, sizeof(line), "control does not take this machine: %s", why);
	fail(m, line);
}

/* What was refused once may be good later: a key had its time, a policy is changed. */
static void ask_later(struct mesh *m)
{
	uint64_t pause_ms = (uint64_t)OWN_KEY_REFUSED_MS << m->refusals;

	if (m->refusals < OWN_KEY_REFUSALS_MAX)
		m->refusals++;
	timer_set(&m->key_timer, m->loop, loop_now_ms(m->loop) + pause_ms, ask_own_control);
}

/* It may be long after the start, when nobody reads but the log. */
static void tell_expired(struct mesh *m, bool is_told)
{
	static const char text[] = "The key of this machine has expired: `hanse up --join KEY`";

	tell(m, "%s", text);
	if (!is_told)
		log_warn("%s", text);
}

static void on_state(void *context, const struct member_state *state)
{
	struct mesh *m = context;
	bool is_same = m->place == state->place;

	m->place = state->place;
	switch (state->place) {
	case MEMBER_WAITING:
	case MEMBER_EXPIRED:
		if (is_own_control(m))
			ask_own_control(&m->key_timer);
		else if (state->place == MEMBER_WAITING)
			tell(m, "Open this link to let this machine in: %s", state->auth_url);
		else
			tell_expired(m, is_same);
		break;
	case MEMBER_REFUSED:
		if (!m->is_joined) {
			give_up(m, state->why);
			break;
		}
		tell(m, "Control refuses this machine: %s", state->why);
		if (is_own_control(m))
			ask_later(m);
		break;
	case MEMBER_UP:
		m->is_joined = true;
		m->refusals = 0;
		timer_clear(&m->key_timer);
		member_forget_join_key(node_member(m->node));
		crypto_wipe(m->join_key, sizeof(m->join_key));
		if (!state->is_authorized)
			tell(m,
			     "This machine waits for approval: `hanse machine approve` where "
			     "control "
			     "runs%s",
			     "");
		if (!is_same)
			log_info("control at %s knows this machine", state->url);
		if (m->is_exit_waited_for) /* a map that brings nothing new is no change */
			tell_ready(m);
		break;
	case MEMBER_LOGGED_OUT:
		forget(m);
		break;
	case MEMBER_CONNECTING:
		if (state->why[0])
			log_debug("control: %s", state->why);
		if (state->why[0] && !m->is_joined && !is_own_control(m))
			tell(m, "Control cannot be reached yet, and is tried again: %s",
			     state->why);
		break;
	case MEMBER_REGISTERING:
		break;
	}
	mesh_api_tell(m);
}

static void on_change(void *context, unsigned what)
{
	struct mesh *m = context;
	uint64_t at_ms =
		loop_now_ms(m->loop) + (what & NODE_KEEP ? MESH_SAVE_MS : MESH_SAVE_LATER_MS);

	if (what & NODE_SEEN) {
		tell_ready(m);
		mesh_api_tell(m);
	}
	if (!(what & (NODE_KEEP | NODE_MOVED)) || (m->is_unsaved && m->save_at_ms <= at_ms))
		return;
	m->is_unsaved = true;
	m->save_at_ms = at_ms;
	timer_set(&m->save_timer, m->loop, at_ms, save);
}

/* The supervisor starts this process again, which makes another one. */
static void on_gone(void *context)
{
	struct mesh *m = context;

	m->is_gone = true;
	loop_stop(m->loop);
}

/* --- starting --------------------------------------------------------------------------------- */
/* A list with commas; false: one is no prefix, or there are too many. */
static bool read_routes(const struct options *o, struct node_config *c)
{
	struct slice rest = slice_from(o->values[OPTION_ADVERTISE_ROUTES]);

	while (rest.size > 0) {
		struct slice text = slice_cut(&rest, ',');
		if (c->route_count == NODE_ROUTES_MAX - 2 ||
		    ip_prefix_parse(text, &c->routes[c->route_count]))
			return false;
		c->route_count++;
	}
	if (strcmp(o->values[OPTION_ADVERTISE_EXIT_NODE], "yes") == 0) {
		c->routes[c->route_count++] = (struct ip_prefix) { { .family = IP_V4 }, 0 };
		c->routes[c->route_count++] = (struct ip_prefix) { { .family = IP_V6 }, 0 };
	}
	return true;
}

static size_t read_tags(const struct options *o, const char *ret[CONTROL_TAGS_MAX])
{
	static char tags[OPTION_VALUE_BYTES_MAX];
	char *rest = tags;
	size_t count = 0;

	snprintf(tags, sizeof(tags), "%s", o->values[OPTION_TAGS]);
	for (char *tag = strsep(&rest, ","); tag && count < CONTROL_TAGS_MAX;
	     tag = strsep(&rest, ","))
		if (tag[0])
			ret[count++] = tag;
	return count;
}

static enum err open_node(struct mesh *m, char why[NODE_WHY_BYTES])
{
	const struct options *o = m->options;
	const char *urls[MESH_URLS_MAX], *tags[CONTROL_TAGS_MAX];
	struct node_config c = {
		.tun = o->values[OPTION_TUN],
		.port = o->wireguard_port,
		.peer_relay = o->peer_relay_port,
		.name = o->values[OPTION_NAME],
		.version = "hanse",
		.urls = urls,
		.url_count = m->url_count,
		.server_key = m->server_key,
		.machine_secret = m->keys.machine,
		.node_secret = m->keys.node,
		.join_key = m->join_key,
		.tags = tags,
		.tag_count = read_tags(o, tags),
		.accepts_routes = strcmp(o->values[OPTION_ACCEPT_ROUTES], "yes") == 0,
		.exit_node = o->values[OPTION_EXIT_NODE],
		.context = m,
		.on_state = on_state,
		.on_change = on_change,
		.on_node_secret = on_node_secret,
		.on_gone = on_gone,
	};

	for (size_t i = 0; i < m->url_count; i++)
		urls[i] = m->urls[i];
	if (!read_routes(o, &c)) {
		snprintf(why, NODE_WHY_BYTES,
			 "--advertise-routes %.100s: networks with commas, as in 10.1.0.0/16",
			 o->values[OPTION_ADVERTISE_ROUTES]);
		return ERR_INVALID;
	}
	enum err err = node_new(m->loop, &c, &m->node, why);
	crypto_wipe(&c, sizeof(c));
	return err;
}

/* Without control the network that is known goes on: a machine that was in it once is ready. */
static void check(void *context, struct readiness *r)
{
	const struct mesh *m = context;
	struct member_state state;

	if (!m->node) {
		readiness_add(r, "mesh", "member", false, "it ends");
		return;
	}
	state = member_get_state(node_member(m->node));
	bool is_in = state.place <= MEMBER_UP && node_netmap(m->node)->self && state.is_authorized;
	readiness_add(r, "mesh", "member", is_in,
		      state.why[0] ? state.why : "it is not in a mesh yet");
}

static void write_numbers(void *context, struct exposition *e)
{
	mesh_numbers_write(context, e);
}

static enum err start(struct mesh *m, char why[OPTION_WHY_BYTES])
{
	char path[OPTION_VALUE_BYTES_MAX + 32], reason[TASK_WHY_BYTES];

	enum err err = state_open(&m->state, m->options->values[OPTION_STATE], false, why);
	if (!err)
		err = machine_keys_load(&m->state, &m->keys, why);
	if (!err)
		err = mesh_joined_load(m, why);
	if (!err)
		err = open_node(m, why);
	if (err)
		return err;
	up_options_socket(m->options, "mesh.sock", path);
	err = http_server_open_unix(m->loop, path,
				    &(struct http_server_config) {
					    .on_request = mesh_api_on_request, .context = m },
				    &m->server, reason);
	if (err) {
		snprintf(why, OPTION_WHY_BYTES, "%s", reason);
		return err;
	}
	m->page = role_page_open(&(struct role_page_config) { .loop = m->loop,
							      .options = m->options,
							      .process = ROLE_MESH,
							      .write = write_numbers,
							      .check = check,
							      .context = m });
	load(m);
	tell_ready(m);
	if (is_own_control(m) && !m->is_joined)
		ask_own_control(&m->key_timer); /* so that nobody is waited for */
	else
		start_node(m);
	return OK;
}

/* --- ending ----------------------------------------------------------------------------------- */
static void close_all(struct mesh *m)
{
	role_page_close(&m->page);
	if (m->server)
		http_server_close(m->server);
	m->server = NULL;
	mesh_api_close(m);
	if (m->leaving)
		http_answer(m->leaving, 503, "application/json", SLICE("{}\n"));
	m->leaving = NULL;
	timer_clear(&m->poll_timer);
	timer_clear(&m->key_timer);
	timer_clear(&m->settle_timer);
	timer_clear(&m->exit_timer);
	if (m->node && m->is_unsaved)
		save(&m->save_timer);
	timer_clear(&m->save_timer);
	if (task_is_running(&m->own_key))
		task_cancel(&m->own_key);
	if (m->node)
		node_free(m->node);
	m->node = NULL;
}

static void on_stop(void *context)
{
	struct mesh *m = context;

	if (m->is_stopping)
		return;
	log_info("stopping");
	m->is_stopping = true;
	close_all(m); /* the loop ends by itself when the last answers have left */
}

int mesh_role_main(char **argv)
{
	static struct options options = { .command = OPTIONS_UP };
	static struct mesh m = { .options = &options };
	char why[OPTION_WHY_BYTES];

	log_set_role("mesh");
	loop_mark_streams(NODE_MARK);
	enum err err = options_from_flags(&options, argv, why);
	if (!err)
		err = options_finish(&options, why);
	m.loop = loop_new(0);
	if (!err)
		err = start(&m, why);
	if (err) {
		supervisor_tell_fatal(why);
		return EXIT_CONFIG;
	}
	stop_install(m.loop, on_stop, &m);
	loop_run(m.loop);
	if (m.node)
		close_all(&m);
	machine_keys_done(&m.keys);
	state_close(&m.state);
	return m.is_failed ? EXIT_CONFIG : m.is_gone ? EXIT_AGAIN : 0;
}

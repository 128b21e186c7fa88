/* The drop process: the inbox of this machine and its queue.
 *
 *	other machines --> desk --> inbox --> counter --> people of this machine
 *	other machines <-- courier <-- queue <--/
 *
 * It listens at the machine's addresses in the mesh once they are known, and tells the mesh process
 * where.  With that one gone it goes on with what it knew. */
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "drop/counter.h"
#include "drop/courier.h"
#include "drop/desk.h"
#include "loop/stop.h"
#include "server/mesh_follow.h"
#include "server/privilege.h"
#include "server/role_page.h"
#include "server/serve.h"
#include "server/state.h"
#include "server/supervisor.h"
#include "server/up_options.h"

enum {
	TELL_TIMEOUT_MS = 5000,
	OPEN_AGAIN_MS = 1000,
	EXPIRE_MS = 10 * 60 * 1000,
	DROP_HTTP_PORT = 80,
	DROP_PEERAPI_PORT = 8645, /* or any other where that is taken, or will be */
	DOORS_MAX = 4,
	DAY_MS = 86400 * 1000,
};

struct door {
	enum desk_kind kind;
	struct ip_port at;
	struct http_stream_server *server; /* NULL: not open */
	bool has_complained;
};

struct drop {
	struct loop *loop;
	struct role_page *page; /* its numbers */
	const struct options *options;
	char socket[OPTION_VALUE_BYTES_MAX + 32];
	struct store *inbox, *queue;
	struct desk *desk;
	struct courier *courier;
	struct counter *counter;
	struct door doors[DOORS_MAX];
	size_t door_count;
	struct timer open_again, expire;
	struct arena arena; /* of the view */
	struct mesh_view view;
	bool has_view, is_stopping;
	struct mesh_follow follow;
	/* telling it where we listen */
	struct task tell;
	struct http_call tell_call;
	bool is_told_again; /* what is being told is old already */
};

/* --- telling the mesh where we listen --------------------------------------------------------- */

static enum step tell_step(struct task *t)
{
	struct drop *d = CONTAINER(t, struct drop, tell);
	struct mesh_view_service services[DOORS_MAX];
	size_t count = 0;
	struct buf body;

	if (t->children > 0)
		return task_wait(t, t->at);
	if (t->at == 1) {
		buf_done(&d->tell_call.body);
		return task_done(t, d->tell_call.task.err);
	}
	bool has_http = false;
	for (size_t i = 0; i < d->door_count; i++) {
		const struct door *door = &d->doors[i];
		bool is_http = door->kind == DESK_HTTP;
		if (!door->server || (is_http && has_http))
			continue;
		has_http |= is_http;
		services[count++] = (struct mesh_view_service) {
			is_http			      ? "http"
			: door->at.ip.family == IP_V4 ? "peerapi4"
						      : "peerapi6",
			http_stream_port(door->server),
		};
	}
	buf_init(&body);
	mesh_view_encode_services(services, count, &body);
	http_call_start(&d->tell_call, t, d->socket, "PUT", "/v1/services", buf_slice(&body));
	task_set_deadline(&d->tell_call.task, loop_now_ms(d->loop) + TELL_TIMEOUT_MS);
	buf_done(&body);
	return task_wait(t, 1);
}

static void tell_services(struct drop *d);

static void on_told(struct task *t)
{
	struct drop *d = CONTAINER(t, struct drop, tell);

	if (d->is_told_again && !d->is_stopping)
		tell_services(d);
}

static const char *const tell_places[] = { "start", "told" };
static const struct task_kind tell_kind = {
	.name = "services",
	.places = tell_places,
	.place_count = 2,
	.step = tell_step,
	.on_end = on_told,
};

static void tell_services(struct drop *d)
{
	d->is_told_again = task_is_running(&d->tell);
	if (!d->is_told_again)
		task_start_root(&d->tell, &tell_kind, d->loop);
}

/* A mesh process that was started again does not know. */
static bool is_told(const struct drop *d)
{
	const struct mesh_view_machine *self = &d->view.machines[0];

	for (size_t i = 0; i < d->door_count; i++) {
		const struct door *door = &d->doors[i];
		uint16_t known = door->at.ip.family == IP_V4 ? self->peerapi4 : self->peerapi6;
		if (door->server && door->kind == DESK_PEERAPI &&
		    known != http_stream_port(door->server))
			return false;
		if (door->server && door->kind == DESK_HTTP && !self->has_hanse_inbox)
			return false;
	}
	return true;
}

/* --- listening -------------------------------------------------------------------------------- */

static void close_doors(struct drop *d)
{
	for (size_t i = 0; i < d->door_count; i++)
		if (d->doors[i].server)
			http_stream_close(d->doors[i].server);
	d->door_count = 0;
}

static void open_doors(struct drop *d);

static void on_open_again(struct timer *t)
{
	open_doors(CONTAINER(t, struct drop, open_again));
}

static enum err open_door(struct drop *d, struct door *door, char why[TASK_WHY_BYTES])
{
	enum err err = desk_listen(d->desk, door->kind, door->at, &door->server, why);

	if (err == ERR_BUSY && door->kind == DESK_PEERAPI) {
		struct ip_port any = { door->at.ip, 0 };
		err = desk_listen(d->desk, door->kind, any, &door->server, why);
	}
	return err;
}

static void open_doors(struct drop *d)
{
	bool is_new = false, is_missing = false;
	char why[TASK_WHY_BYTES];

	for (size_t i = 0; i < d->door_count; i++) {
		struct door *door = &d->doors[i];
		if (door->server)
			continue;
		enum err err = open_door(d, door, why);
		is_new |= !err;
		is_missing |= err != OK;
		if (err && !door->has_complained)
			log_info("%s", why);
		door->has_complained = err != OK;
	}
	if (is_missing)
		timer_set(&d->open_again, d->loop, loop_now_ms(d->loop) + OPEN_AGAIN_MS,
			  on_open_again);
	if (is_new && !is_told(d))
		tell_services(d);
}

/* Control and the relay of this machine listen at every address of it, and may come later than we
 * do: they would find their ports taken, and end. */
static uint16_t peerapi_port(const struct options *o)
{
	uint16_t port = DROP_PEERAPI_PORT;

	while (port == o->realm_listen.port || port == o->realm_listen.port + 1 ||
	       port == o->relay_listen.port)
		port++;
	return port;
}

/* The first address of each family, at both ports. */
static void set_doors(struct drop *d, const struct mesh_view_machine *self)
{
	struct door doors[DOORS_MAX];
	size_t count = 0;
	bool has[2] = { false, false };

	for (size_t i = 0; i < self->address_count; i++) {
		struct ip ip = self->addresses[i];
		bool is_v6 = ip.family == IP_V6;
		if (has[is_v6])
			continue;
		has[is_v6] = true;
		doors[count++] = (struct door) { .kind = DESK_HTTP, .at = { ip, DROP_HTTP_PORT } };
		doors[count++] = (struct door) { .kind = DESK_PEERAPI,
						 .at = { ip, peerapi_port(d->options) } };
	}
	bool is_same = count == d->door_count;
	for (size_t i = 0; i < count && is_same; i++)
		is_same = ip_port_equal(doors[i].at, d->doors[i].at);
	if (is_same)
		return;
	close_doors(d);
	memcpy(d->doors, doors, sizeof(doors));
	d->door_count = count;
	open_doors(d);
}

/* --- following the mesh ----------------------------------------------------------------------- */

static const struct mesh_view *get_view(void *context)
{
	const struct drop *d = context;

	return d->has_view ? &d->view : NULL;
}

/* A netmap without this machine is not used: the last good one stays. */
static uint64_t on_netmap(void *context, struct slice json)
{
	struct drop *d = context;
	struct mesh_view view = { .sequence = 0 };
	struct arena a;

	arena_init(&a);
	if (mesh_view_parse(&a, json, &view) || !view.has_self) {
		arena_done(&a);
		return view.sequence;
	}
	arena_done(&d->arena);
	d->arena = a;
	d->view = view;
	d->has_view = true;
	set_doors(d, &view.machines[0]);
	if (!is_told(d))
		tell_services(d);
	courier_poke(d->courier);
	return view.sequence;
}

/* --- life ------------------------------------------------------------------------------------- */

static void on_item(void *context, struct store_item *i)
{
	struct drop *d = context;

	counter_tell_file(d->counter, i);
}

static void on_outcome(void *context, const struct store_item *i, enum err err, const char *why)
{
	struct drop *d = context;
	bool is_final = err == OK || err == ERR_DENIED || err == ERR_INVALID || err == ERR_FULL;

	if (is_final && d->counter)
		counter_tell_outcome(d->counter, i, err, why);
}

static void on_expire(struct timer *t)
{
	struct drop *d = CONTAINER(t, struct drop, expire);

	store_expire(d->inbox, clock_wall_ms());
	store_expire(d->queue, clock_wall_ms());
	timer_set(t, d->loop, loop_now_ms(d->loop) + EXPIRE_MS, on_expire);
}

/* The loop ends by itself once the last files are durable. */
static void on_courier_end(void *context)
{
	struct drop *d = context;

	d->courier = NULL;
}

static void on_stop(void *context)
{
	struct drop *d = context;

	d->is_stopping = true;
	role_page_close(&d->page);
	timer_clear(&d->open_again);
	timer_clear(&d->expire);
	mesh_follow_stop(&d->follow);
	if (task_is_running(&d->tell))
		task_cancel(&d->tell);
	close_doors(d);
	desk_close(d->desk);
	counter_close(d->counter);
	d->counter = NULL;
	courier_close(d->courier, on_courier_end);
}

static enum err open_store(struct drop *d, const char *name, struct store **ret,
			   char why[OPTION_WHY_BYTES])
{
	const struct options *o = d->options;
	char path[OPTION_VALUE_BYTES_MAX + 32], fault[STORE_WHY_BYTES];
	bool is_queue = strcmp(name, "queue") == 0;
	struct store_limits limits = {
		.inbox_bytes = o->inbox_quota,
		.sender_bytes = is_queue ? o->inbox_quota : o->inbox_sender_quota,
		.sender_items = is_queue ? STORE_ITEMS_MAX : STORE_SENDER_ITEMS_MAX,
		.reserve_bytes = o->inbox_reserve,
		.keep_ms = (int64_t)o->inbox_keep_days * DAY_MS,
	};

	snprintf(path, sizeof(path), "%s/%s", o->values[OPTION_STATE], name);
	enum err err = store_open(path, &limits, ret, fault);
	if (err)
		snprintf(why, OPTION_WHY_BYTES, "%s", fault);
	return err;
}

static enum err open_drop(struct drop *d, char why[OPTION_WHY_BYTES])
{
	char path[OPTION_VALUE_BYTES_MAX + 32], fault[TASK_WHY_BYTES];

	enum err err = open_store(d, "drop", &d->inbox, why);
	if (!err)
		err = open_store(d, "queue", &d->queue, why);
	if (err)
		return err;
	d->courier = courier_new(d->loop, &(struct courier_config) { .queue = d->queue,
								     .view = get_view,
								     .on_outcome = on_outcome,
								     .context = d });
	up_options_socket(d->options, "drop.sock", path);
	err = counter_open(d->loop, path,
			   &(struct counter_config) { d->inbox, d->queue, d->courier }, &d->counter,
			   fault);
	if (err) {
		snprintf(why, OPTION_WHY_BYTES, "%s", fault);
		return err;
	}
	d->desk = desk_new(d->loop, &(struct desk_config) { .store = d->inbox,
							    .view = get_view,
							    .on_item = on_item,
							    .context = d });
	return OK;
}

static void run(struct drop *d)
{
	up_options_socket(d->options, "mesh.sock", d->socket);
	stop_install(d->loop, on_stop, d);
	on_expire(&d->expire);
	mesh_follow_start(&d->follow, d->loop, d->socket, on_netmap, d);
	d->page = role_page_open(&(struct role_page_config) {
		.loop = d->loop, .options = d->options, .process = ROLE_DROP, .context = d });
	supervisor_tell_ready("files are taken");
	loop_run(d->loop);
	loop_free(d->loop);
	store_close(d->inbox);
	store_close(d->queue);
	arena_done(&d->arena);
}

int drop_role_main(char **argv)
{
	static struct options options = { .command = OPTIONS_UP };
	static struct drop d;
	char why[OPTION_WHY_BYTES];

	log_set_role("drop");
	enum err err = options_from_flags(&options, argv, why);
	if (!err)
		err = options_finish(&options, why);
	if (!err) {
		d.options = &options;
		d.loop = loop_new(0);
		arena_init(&d.arena);
		err = open_drop(&d, why);
	}
	if (err) {
		log_error("%s", why);
		supervisor_tell_fatal(why);
		return EXIT_CONFIG;
	}
	privilege_keep(PRIVILEGE(CAP_NET_BIND_SERVICE)); /* its doors open and close */
	run(&d);
	return 0;
}

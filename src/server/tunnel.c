#include "server/tunnel.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/scope.h"
#include "loop/datagram.h"
#include "loop/stop.h"
#include "loop/stream.h"
#include "loop/timer.h"
#include "loop/tun.h"
#include "loop/watch.h"
#include "mesh/lanes/lanes.h"
#include "mesh/tunnel/device.h"
#include "wire/crypto/wipe.h"

#define SOCKET_DIRECTORY "/var/run/wireguard"

_Static_assert((int)TUNNEL_THREADS_MAX == 1 + (int)LANES_THREADS_MAX, "with that of the loop");

enum {
	PATH_BYTES = 64,
	RUNS = 64,	  /* given to the kernel together */
	CLIENTS_MAX = 16, /* of the configuration socket */
};

/* A connection to the configuration socket. */
struct client {
	struct list link;
	struct host *host;
	struct stream *stream;
};

/* Datagrams for the kernel, and whose they are. */
struct outgoing {
	struct datagram_run runs[RUNS];
	struct device_place *places[RUNS];
	size_t count;
};

struct host {
	struct loop *loop;
	const struct tunnel_settings *settings;
	struct tun *tun;
	struct tunnel *tunnel;
	struct lanes *lanes;
	uint64_t marks[TUN_ROOMS_MAX]; /* until when batches are in that room */
	struct outgoing outgoing;
	struct device device;
	struct datagram *udp;
	struct listener *listener;
	struct watch *socket_watch; /* of the directory of the configuration socket */
	int notify_fd;
	struct list clients;
	size_t client_count;
	struct timer timer;
	uint64_t armed_ms; /* what the timer is set to; UINT64_MAX: it is not */
	char path[PATH_BYTES];
};

static struct tunnel_now now_of(const struct host *h)
{
	return (struct tunnel_now) { loop_now_ms(h->loop), clock_wall_ms() };
}

/* --- datagrams out --------------------------------------------------------------------------- */
static struct datagram_run run_to(const struct device_place *place, uint8_t *data, size_t size,
				  size_t segment_size)
{
	struct datagram_run run = {
		.peer = place->at, .data = data, .size = size, .segment_size = segment_size
	};

	memcpy(run.local, place->local, sizeof(run.local));
	return run;
}

/* What is ours may have changed: an address we were heard at need not be there any more. */
static void send_effect(struct host *h, const struct tunnel_effect *e)
{
	struct device_place *place = device_place(e->peer);
	bool is_initiation = e->size > 0 && e->data[0] == 1;

	if (!place->is_known)
		return;
	if (is_initiation)
		memset(place->local, 0, sizeof(place->local));
	struct datagram_run run = run_to(place, e->data, e->size, e->size);
	(void)datagram_send(h->udp, &run, 1);
}

static void on_timer(struct timer *t);

/* Do what the engine wants done, and come back when it wants that. */
static void settle(struct host *h)
{
	struct tunnel_effect e;

	while (tunnel_next(h->tunnel, &e)) {
		if (e.kind == TUNNEL_SEND)
			send_effect(h, &e);
		else if (e.kind == TUNNEL_ANSWER)
			(void)datagram_send_one(h->udp, &e.to, (struct slice) { e.data, e.size });
	}
	uint64_t deadline = tunnel_deadline(h->tunnel);
	if (deadline == h->armed_ms)
		return;
	h->armed_ms = deadline;
	if (deadline == UINT64_MAX)
		timer_clear(&h->timer);
	else
		timer_set(&h->timer, h->loop, deadline, on_timer);
}

static void on_timer(struct timer *t)
{
	struct host *h = CONTAINER(t, struct host, timer);

	h->armed_ms = UINT64_MAX;
	tunnel_tick(h->tunnel, now_of(h));
	settle(h);
}

/* --- packets out ----------------------------------------------------------------------------- */
static void flush(struct host *h)
{
	struct outgoing *o = &h->outgoing;
	size_t sent = datagram_send(h->udp, o->runs, o->count);

	for (size_t i = 0; i < sent; i++) /* zeros where it is ours no longer */
		memcpy(o->places[i]->local, o->runs[i].local, sizeof(o->places[i]->local));
	if (sent < o->count)
		tun_pause(h->tun); /* the rest is lost; what comes waits until there is room */
	o->count = 0;
}

static void on_sealed(void *context, struct tunnel_peer *p, struct tunnel_packet *packets,
		      size_t count)
{
	struct host *h = context;
	struct outgoing *o = &h->outgoing;
	struct device_place *place = device_place(p);
	struct tunnel_run run;
	size_t at = 0;

	while (tunnel_next_run(packets, count, &at, &run)) {
		if (o->count == RUNS)
			flush(h);
		o->places[o->count] = place;
		o->runs[o->count++] = run_to(place, run.data, run.size, run.segment_size);
	}
}

static void on_packets(void *context, struct tun_packet *from, size_t count)
{
	struct tunnel_packet packets[TUN_PACKETS_MAX];
	struct tunnel_peer *peer = NULL;
	struct host *h = context;
	struct tunnel_now now = now_of(h);
	size_t first = 0;

	tunnel_set_mtu(h->tunnel, tun_mtu(h->tun));
	for (size_t i = 0; i <= count; i++) {
		struct tunnel_peer *next = NULL;
		if (i < count) {
			packets[i] = (struct tunnel_packet) { from[i].data, from[i].size };
			next = tunnel_route_packet(h->tunnel,
						   (struct slice) { from[i].data, from[i].size });
		}
		if (i < count && next == peer)
			continue;
		if (peer && device_place(peer)->is_known)
			lanes_seal(h->lanes, now, peer, packets + first, i - first);
		peer = next;
		first = i;
	}
	flush(h);
	if (lanes_is_sealing(h->lanes))
		h->marks[tun_keep(h->tun)] = lanes_mark(h->lanes);
	settle(h);
}

static void on_return(void *context, unsigned room)
{
	struct host *h = context;

	lanes_finish_sealing(h->lanes, h->marks[room]);
	flush(h);
	settle(h);
}

static void on_writable(void *context)
{
	struct host *h = context;

	tun_resume(h->tun);
}

/* --- datagrams in ---------------------------------------------------------------------------- */
static void learn_place(struct tunnel_peer *p, const struct datagram_run *run)
{
	struct device_place *place = device_place(p);

	place->at = run->peer;
	place->is_known = true;
	memcpy(place->local, run->local, sizeof(place->local));
}

static void on_opened(void *context, struct lanes_incoming *batch)
{
	struct tun_packet packets[LANES_DATAGRAMS_MAX];
	const struct datagram_run **runs = batch->notes;
	struct host *h = context;
	size_t count = 0;

	for (size_t i = 0; i < batch->count; i++) {
		const struct tunnel_datagram *d = &batch->datagrams[i];

		if (d->peer)
			learn_place(d->peer, runs[i]);
		if (d->verdict == TUNNEL_PACKET)
			packets[count++] =
				(struct tun_packet) { (uint8_t *)(uintptr_t)d->packet.data,
						      d->packet.size };
	}
	tun_write(h->tun, packets, count);
}

static void add_datagram(struct host *h, struct tunnel_now now, const struct datagram_run *run,
			 size_t at)
{
	struct lanes_incoming *batch = lanes_incoming(h->lanes);
	size_t rest = run->size - at;

	((const struct datagram_run **)batch->notes)[batch->count] = run;
	batch->datagrams[batch->count++] = (struct tunnel_datagram) {
		.data = run->data + at,
		.size = rest < run->segment_size ? rest : run->segment_size,
		.from = run->peer,
	};
	if (batch->count == LANES_DATAGRAMS_MAX)
		lanes_open(h->lanes, now);
}

static void on_runs(void *context, struct datagram_run *runs, size_t count)
{
	struct host *h = context;
	struct tunnel_now now = now_of(h);

	for (size_t i = 0; i < count; i++) {
		for (size_t at = 0; at < runs[i].size; at += runs[i].segment_size)
			add_datagram(h, now, &runs[i], at);
		if (lanes_incoming(h->lanes)->count >= LANES_DATAGRAMS_MAX / 2)
			lanes_open(h->lanes, now); /* what was just read is still near */
	}
	lanes_finish_opening(h->lanes, now);
	settle(h);
}

/* --- configuration --------------------------------------------------------------------------- */
static enum err open_udp(struct host *h, uint16_t port)
{
	struct datagram_options o = {
		.port = port,
		.mark = h->device.mark,
		.without_segmentation = h->settings->without_udp_offloads,
		.on_runs = on_runs,
		.on_writable = on_writable,
		.context = h,
	};
	struct datagram *udp;
	enum err err = datagram_open(h->loop, &o, &udp);

	if (err)
		return err;
	datagram_close(h->udp);
	h->udp = udp;
	tun_resume(h->tun);
	return OK;
}

static enum err on_listen(void *context, uint16_t port, uint16_t *ret)
{
	struct host *h = context;
	bool is_there = port > 0 && h->udp && datagram_port(h->udp) == port;
	enum err err = is_there ? OK : open_udp(h, port);

	if (!err)
		*ret = datagram_port(h->udp);
	return err;
}

static enum err on_mark(void *context, uint32_t mark)
{
	struct host *h = context;

	return datagram_set_mark(h->udp, mark);
}

static const struct device_host device_host = { .listen = on_listen, .mark = on_mark };

static void close_client(struct client *c)
{
	list_remove(&c->link);
	c->host->client_count--;
	stream_close(c->stream);
	memory_free(c);
}

static void on_request(void *context, struct stream *s)
{
	struct client *c = context;
	struct host *h = c->host;
	struct slice inbox = stream_inbox(s);
	struct buf answer;

	if (!device_has_request(inbox)) {
		if (inbox.size >= DEVICE_REQUEST_BYTES_MAX)
			close_client(c);
		return;
	}
	assert(!lanes_is_sealing(h->lanes)); /* peers may go */
	buf_init(&answer);
	size_t used = device_answer(&h->device, now_of(h), inbox, &answer);
	stream_consume(s, used);
	stream_write(s, buf_slice(&answer));
	crypto_wipe(answer.data, answer.size);
	buf_done(&answer);
	settle(h);
}

static void on_client_end(void *context, struct stream *s, enum err err)
{
	struct client *c = context;

	(void)err;
	list_remove(&c->link);
	c->host->client_count--;
	memory_free(c);
	stream_close_gracefully(s, 1000); /* the answer may still be on its way */
}

static void on_accept(void *context, struct stream *s)
{
	static const struct stream_owner owner = { .on_readable = on_request,
						   .on_end = on_client_end };
	struct host *h = context;

	if (h->client_count == CLIENTS_MAX) {
		stream_close(s);
		return;
	}
	struct client *c = NEW(struct client);
	c->host = h;
	c->stream = s;
	h->client_count++;
	list_add(&h->clients, &c->link);
	stream_set_inbox_limit(s, DEVICE_REQUEST_BYTES_MAX);
	stream_set_owner(s, &owner, c);
}

/* --- life ------------------------------------------------------------------------------------ */
static void on_stop(void *context)
{
	struct host *h = context;

	loop_stop(h->loop);
}

static void on_gone(void *context)
{
	struct host *h = context;

	log_info("the device is gone");
	loop_stop(h->loop);
}

/* wg-quick(8) removes a device of this kind by removing its socket. */
static void on_directory(void *context, int fd, bool is_readable, bool is_writable)
{
	struct host *h = context;
	uint8_t events[4096];
	struct stat st;

	(void)is_readable;
	(void)is_writable;
	while (read(fd, events, sizeof(events)) > 0)
		;
	if (lstat(h->path, &st) == 0)
		return;
	log_info("%s was removed", h->path);
	loop_stop(h->loop);
}

static enum err watch_socket(struct host *h)
{
	h->notify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (h->notify_fd < 0 ||
	    inotify_add_watch(h->notify_fd, SOCKET_DIRECTORY, IN_DELETE | IN_MOVED_FROM) < 0)
		return err_from_errno(errno);
	h->socket_watch = watch_open(h->loop, h->notify_fd, on_directory, h);
	if (!h->socket_watch)
		return ERR_IO;
	watch_set(h->socket_watch, true, false);
	return OK;
}

static enum err open_socket(struct host *h, char why[TUNNEL_WHY_BYTES])
{
	char reason[TASK_WHY_BYTES] = "";

	if (mkdir(SOCKET_DIRECTORY, 0755) < 0 && errno != EEXIST) {
		snprintf(why, TUNNEL_WHY_BYTES, "%s cannot be made: %s", SOCKET_DIRECTORY,
			 strerror(errno));
		return err_from_errno(errno);
	}
	mode_t before = umask(0077);
	enum err err = listener_open_unix(h->loop, h->path, on_accept, h, &h->listener, reason);
	umask(before);
	if (!err)
		err = watch_socket(h);
	if (err)
		snprintf(why, TUNNEL_WHY_BYTES, "%s cannot be opened: %s", h->path,
			 reason[0] ? reason : err_name(err));
	return err;
}

static enum err start(struct host *h, char why[TUNNEL_WHY_BYTES])
{
	const struct tunnel_settings *s = h->settings;
	struct tun_options o = { .name = s->name,
				 .without_offloads = s->without_tun_offloads,
				 .head_bytes = TUNNEL_HEAD_BYTES,
				 .align_bytes = TUNNEL_ALIGN_BYTES,
				 .tail_bytes = TUNNEL_TAG_BYTES,
				 .on_packets = on_packets,
				 .on_return = on_return,
				 .on_gone = on_gone,
				 .context = h };
	struct tunnel_options tunnel_options = { 0 };
	enum err err = tun_open(h->loop, &o, &h->tun);

	if (err) {
		snprintf(why, TUNNEL_WHY_BYTES, "the device %.15s cannot be opened: %s%s", s->name,
			 err_name(err),
			 err == ERR_DENIED ? "; it takes CAP_NET_ADMIN, or root" : "");
		return err;
	}
	tunnel_options.mtu = tun_mtu(h->tun);
	h->tunnel = tunnel_new(&tunnel_options);
	h->lanes = lanes_new(&(struct lanes_options) {
		.tunnel = h->tunnel,
		.threads = s->threads ? s->threads - 1 : lanes_threads(),
		.note_bytes = sizeof(const struct datagram_run *),
		.context = h,
		.on_sealed = on_sealed,
		.on_opened = on_opened,
	});
	h->device = (struct device) { .tunnel = h->tunnel, .host = &device_host, .context = h };
	err = on_listen(h, 0, &h->device.port);
	if (err) {
		snprintf(why, TUNNEL_WHY_BYTES, "no UDP socket: %s", err_name(err));
		return err;
	}
	snprintf(h->path, sizeof(h->path), SOCKET_DIRECTORY "/%.15s.sock", tun_name(h->tun));
	return open_socket(h, why);
}

static void end(struct host *h)
{
	LIST_EACH (&h->clients, struct client, link, c)
		close_client(c);
	if (h->listener)
		listener_close(h->listener);
	if (h->socket_watch)
		watch_close(h->socket_watch);
	scope_close_fd(&h->notify_fd);
	timer_clear(&h->timer);
	datagram_close(h->udp);
	tun_close(h->tun);
	lanes_free(h->lanes);
	if (h->tunnel) {
		device_done(&h->device);
		tunnel_free(h->tunnel);
	}
}

enum err tunnel_run(const struct tunnel_settings *settings, char why[TUNNEL_WHY_BYTES])
{
	struct host h = { .settings = settings, .notify_fd = -1, .armed_ms = UINT64_MAX };

	h.loop = loop_new(0);
	list_init(&h.clients);
	enum err err = start(&h, why);
	if (!err) {
		log_info("%s is there, on UDP port %u%s; `wg set %s ...` configures it",
			 tun_name(h.tun), h.device.port,
			 tun_has_offloads(h.tun) ? "" : ", without offloads", tun_name(h.tun));
		stop_install(h.loop, on_stop, &h);
		memory_settle();
		loop_run(h.loop);
	}
	end(&h);
	loop_free(h.loop);
	return err;
}

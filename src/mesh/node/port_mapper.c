/* UPnP's conversation with the router that paths found: its description, its address outside, and
 * the port; or, at the end, that the port is needed no more.  It lives by itself, so that the last
 * one goes on when the node is gone already.
 *
 *	describe -> address -> open -> done
 *	                       ^  '-> taken: another port; only for ever: that
 *	describe -> close -> done
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "loop/http_client.h"
#include "mesh/node/private.h"
#include "wire/port_mapping/upnp.h"

enum {
	CALL_MS = 4000,
	LAST_CALL_MS = 1000, /* somebody waits for the end */
	OPEN_TRIES = 4,
	LEASE_SECONDS = 7200, /* renewed at half of it, also where it has no end */
	PORT_FIRST = 1024,
	HTTP_OK = 200,
};

struct node_port_mapper {
	struct task task;
	struct node *node; /* NULL: nobody waits for it any more */
	struct loop *loop;
	struct http_call call;
	struct upnp_place place;
	struct upnp_service service;
	struct upnp_mapping mapping;
	struct endpoint outside;
	bool is_last; /* the port is given back */
	bool is_done;
	int tries;
};

enum { MAPPER_DESCRIBE, MAPPER_DESCRIBED, MAPPER_ADDRESS, MAPPER_OPENED, MAPPER_CLOSED };
static const char *const places[] = { "describe", "described", "address", "opened", "closed" };

/* --- asking ----------------------------------------------------------------------------------- */
static enum step call(struct node_port_mapper *m, const struct upnp_place *at, struct http_ask *ask,
		      int next)
{
	char host[ENDPOINT_TEXT_BYTES];

	endpoint_ip_text(&at->address, host);
	ask->host = host;
	ask->port = at->address.port;
	ask->target = at->path;
	http_call_start_asking(&m->call, &m->task, ask);
	task_set_deadline(&m->call.task,
			  loop_now_ms(m->loop) + (m->is_last ? LAST_CALL_MS : CALL_MS));
	return task_wait(&m->task, next);
}

static enum step request(struct node_port_mapper *m, enum upnp_action action, int next)
{
	char header[UPNP_HEADERS_BYTES];
	struct buf body;

	buf_init(&body);
	upnp_request(action, &m->service, &m->mapping, &body, header);
	enum step step = call(m, &m->service.at,
			      &(struct http_ask) { .method = "POST",
						   .content_type = "text/xml; charset=\"utf-8\"",
						   .header = header,
						   .body = buf_slice(&body),
						   .answer_bytes_max = UPNP_ANSWER_BYTES_MAX },
			      next);
	buf_done(&body);
	return step;
}

/* --- what is answered ------------------------------------------------------------------------- */
static enum step described(struct node_port_mapper *m)
{
	if (m->call.status != HTTP_OK ||
	    upnp_read_description(buf_slice(&m->call.body), &m->place, &m->service))
		return task_done(&m->task, ERR_NOT_FOUND);
	if (m->is_last)
		return request(m, UPNP_DELETE, MAPPER_CLOSED);
	return request(m, UPNP_ASK_ADDRESS, MAPPER_ADDRESS);
}

static enum step told_address(struct node_port_mapper *m)
{
	if (m->call.status != HTTP_OK || upnp_read_address(buf_slice(&m->call.body), &m->outside))
		return task_done(&m->task, ERR_NOT_FOUND);
	return request(m, UPNP_ADD, MAPPER_OPENED);
}

static enum step opened(struct node_port_mapper *m)
{
	int error = upnp_read_error(buf_slice(&m->call.body));

	if (m->call.status == HTTP_OK) {
		m->outside.port = m->mapping.outside_port;
		m->is_done = true;
		return task_done(&m->task, OK);
	}
	if (++m->tries == OPEN_TRIES)
		return task_done(&m->task, ERR_DENIED);
	if (error == UPNP_ONLY_PERMANENT)
		m->mapping.seconds = 0;
	else if (error == UPNP_TAKEN)
		m->mapping.outside_port =
			(uint16_t)(PORT_FIRST + random_u64() % (UINT16_MAX - PORT_FIRST));
	else
		return task_done(&m->task, ERR_DENIED);
	return request(m, UPNP_ADD, MAPPER_OPENED);
}

static enum step mapper_step(struct task *t)
{
	struct node_port_mapper *m = CONTAINER(t, struct node_port_mapper, task);
	enum step step = STEP_WAIT;

	if (t->children > 0)
		return task_wait(t, t->at);
	if (task_is_canceled(t) || (t->at != MAPPER_DESCRIBE && m->call.task.err)) {
		buf_done(&m->call.body);
		return task_done(t, ERR_CANCELED);
	}
	struct buf answer = m->call.body;
	switch (t->at) {
	case MAPPER_DESCRIBE:
		return call(m, &m->place,
			    &(struct http_ask) { .method = "GET",
						 .answer_bytes_max = UPNP_DESCRIPTION_BYTES_MAX },
			    MAPPER_DESCRIBED);
	case MAPPER_DESCRIBED:
		step = described(m);
		break;
	case MAPPER_ADDRESS:
		step = told_address(m);
		break;
	case MAPPER_OPENED:
		step = opened(m);
		break;
	case MAPPER_CLOSED:
		step = task_done(t, OK);
		break;
	default:
		abort();
	}
	buf_done(&answer);
	return step;
}

static void on_end(struct task *t)
{
	struct node_port_mapper *m = CONTAINER(t, struct node_port_mapper, task);
	struct node *n = m->node;
	struct endpoint local = m->mapping.ours;

	if (n) {
		n->port_mapper = NULL;
		paths_mapped(n->paths, &local, m->is_done ? &m->outside : NULL, LEASE_SECONDS,
			     clock_now_us());
		node_run_effects(n);
	}
	memory_free(m);
}

static const struct task_kind mapper_kind = {
	.name = "port mapper",
	.places = places,
	.place_count = 5,
	.step = mapper_step,
	.on_end = on_end,
};

/* --- whom it is for --------------------------------------------------------------------------- */
void node_end_port_mapper(struct node *n)
{
	if (!n->port_mapper)
		return;
	n->port_mapper->node = NULL;
	task_cancel(&n->port_mapper->task);
	n->port_mapper = NULL;
}

void node_map_port(struct node *n, const struct paths_effect *e)
{
	struct node_port_mapper *m = NEW(struct node_port_mapper);

	node_end_port_mapper(n);
	m->loop = n->loop;
	m->is_last = e->kind == PATHS_UNMAP_PORT;
	m->place.address = e->address;
	snprintf(m->place.path, sizeof(m->place.path), "%.*s", SLICE_ARG(e->bytes));
	m->mapping = (struct upnp_mapping) { e->local, e->outside_port, LEASE_SECONDS };
	if (!m->is_last) {
		m->node = n;
		n->port_mapper = m;
	}
	task_start_root(&m->task, &mapper_kind, n->loop);
}

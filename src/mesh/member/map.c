/* The map stream: frames, the responses in them, and what they do to the network we know. */
#include "mesh/member/private.h"

static void lose_map(struct member *m, const char *what, enum err err)
{
	member_set_why(m, "%s (%s)", what, err_name(err));
	m->is_map_lost = true;
	member_wake(m);
}

/* False: nobody wants to hear more. */
static bool apply(struct member *m, struct arena *a, const struct control_map_response *r)
{
	struct netmap_change change;

	if (r->ping)
		member_take_ping(m, r->ping);
	if (r->is_keepalive && !r->node)
		return !m->is_freed;
	enum err err = netmap_apply(&m->netmap, a, r, &change);
	if (err) {
		lose_map(m, "control sent a map that cannot be", err);
		return false;
	}
	if (m->place != MEMBER_UP) {
		m->up_since_ms = loop_now_ms(m->loop);
		m->pause_max_ms = MEMBER_PAUSE_MS_MIN;
		member_set_why(m, "%s", "");
		member_set_place(m, MEMBER_UP);
	} else if (change.what & NETMAP_SELF) {
		member_set_place(m, MEMBER_UP); /* whether it is authorized may be new */
	}
	if (change.what & NETMAP_SELF)
		member_wake(m); /* its key may be over, and all else may be quiet */
	if (change.what && m->config.on_change)
		m->config.on_change(m->config.context, &m->netmap, &change);
	return !m->is_freed;
}

static bool take_response(struct member *m, struct slice json)
{
	struct control_map_response response;
	struct arena a;
	bool goes_on = false;

	arena_init(&a);
	enum err err = control_map_response_decode(&a, json, &response);
	if (err)
		lose_map(m, "control sent a map that cannot be read", err);
	else
		goes_on = apply(m, &a, &response);
	arena_done(&a);
	return goes_on;
}

void member_map_bytes(struct member *m, struct slice bytes)
{
	bool goes_on = true;

	m->heard_ms = loop_now_ms(m->loop);
	buf_add_slice(&m->frames, bytes);
	struct slice rest = buf_slice(&m->frames);
	while (goes_on) {
		struct arena a;
		struct slice json;
		arena_init(&a);
		enum err err = control_frame_decode(&a, &rest, &json);
		if (!err)
			goes_on = take_response(m, json);
		else if (err != ERR_BUSY)
			lose_map(m, "control sent a broken frame", err);
		arena_done(&a);
		if (err)
			break;
	}
	if (!m->is_freed)
		buf_drop_front(&m->frames, m->frames.size - rest.size);
}

/* First messages of handshakes that reached nobody.
 *
 * WireGuard tries again only after 5 s.  But who has just joined may be known by name before there
 * is any way to it, or be told of by control before its relay has it; the sender hears of both.
 * So the last such message of a peer is kept, and sent again soon, a few times. */
#include "base/clock.h"
#include "mesh/node/private.h"

enum {
	HELLO_TYPE = 1, /* WireGuard's handshake initiation */
	HELLO_FIRST_MS = 200,
	HELLO_TIMES_MAX = 4, /* after 200, 400, 800, 1600 ms: then WireGuard itself is next */
};

bool node_is_hello(const struct tunnel_run *run)
{
	return run->size == NODE_HELLO_BYTES && run->data[0] == HELLO_TYPE;
}

static void on_timer(struct timer *t)
{
	struct node *n = CONTAINER(t, struct node, hello_timer);
	uint64_t now_ms = clock_now_ms(), next_ms = UINT64_MAX;
	struct node_peer *p;
	size_t cursor = 0;

	while ((p = map_next(&n->peers, &cursor))) {
		if (p->hello_at_ms == 0)
			continue;
		if (p->hello_at_ms <= now_ms) {
			p->hello_at_ms = 0;
			node_send_run(n, p,
				      &(struct tunnel_run) { p->hello, NODE_HELLO_BYTES,
							     NODE_HELLO_BYTES, 1 });
		}
		if (p->hello_at_ms > 0 && p->hello_at_ms < next_ms)
			next_ms = p->hello_at_ms;
	}
	if (next_ms != UINT64_MAX)
		timer_set(t, n->loop, loop_now_ms(n->loop) + (next_ms - now_ms), on_timer);
	node_run_effects(n);
}

/* A fresh one begins to count anew. */
void node_keep_hello(struct node_peer *p, const uint8_t *message)
{
	if (memcmp(p->hello, message, NODE_HELLO_BYTES) == 0)
		return;
	memcpy(p->hello, message, NODE_HELLO_BYTES);
	p->hello_count = 0;
	p->hello_at_ms = 0;
}

void node_lost_hello(struct node *n, struct node_peer *p)
{
	if (p->hello[0] != HELLO_TYPE || p->hello_at_ms > 0 || p->hello_count == HELLO_TIMES_MAX)
		return;
	uint64_t pause_ms = (uint64_t)HELLO_FIRST_MS << p->hello_count++;
	p->hello_at_ms = clock_now_ms() + pause_ms;
	/* An earlier one is sooner over: later ones wait for it. */
	if (n->hello_timer.node.index == 0)
		timer_set(&n->hello_timer, n->loop, loop_now_ms(n->loop) + pause_ms, on_timer);
}

void node_end_hello(struct node_peer *p)
{
	memset(p->hello, 0, sizeof(p->hello));
	p->hello_at_ms = 0;
}

/* First messages of handshakes that reached nobody.
 *
 * WireGuard tries again only after 5 s.  But who has just joined may be known by name before there
 * is any way to it, or be told of by control before its relay has it; the sender hears of both.
 * So the last such message of a peer is kept, and sent again soon, a few times.
 *
 * It may be lost without a word too: relays say only of disco packets that nobody is there, and
 * official clients drop what comes from a machine that they do not know yet.  So the first message
 * for a peer without a session is sent again twice when nobody has answered.  The other side takes
 * only one of them. */
#include "base/clock.h"
#include "mesh/node/private.h"

enum {
	HELLO_TYPE = 1, /* WireGuard's handshake initiation */
	HELLO_FIRST_MS = 200,
	HELLO_TIMES_MAX = 4, /* after 200, 400, 800, 1600 ms: then WireGuard itself is next */
	HELLO_UNHEARD_MS = 500,
	HELLO_UNHEARD_TIMES_MAX = 2, /* after 500 and 1000 ms */
};

bool node_is_hello(const struct tunnel_run *run)
{
	return run->size == NODE_HELLO_BYTES && run->data[0] == HELLO_TYPE;
}

static bool is_kept(const struct node_peer *p)
{
	return p->hello[0] == HELLO_TYPE;
}

static void on_timer(struct timer *t);

static void send_again(struct node *n, struct node_peer *p, uint64_t pause_ms)
{
	uint64_t at_ms = loop_now_ms(n->loop) + pause_ms;

	p->hello_at_ms = clock_now_ms() + pause_ms;
	if (n->hello_timer.node.index == 0 || at_ms < n->hello_timer.node.key)
		timer_set(&n->hello_timer, n->loop, at_ms, on_timer);
}

/* Until somebody has answered, or the sender heard better. */
static void send_unheard(struct node *n, struct node_peer *p)
{
	if (!is_kept(p) || p->hello_at_ms > 0 || p->unheard_count >= HELLO_UNHEARD_TIMES_MAX)
		return;
	send_again(n, p, (uint64_t)HELLO_UNHEARD_MS << p->unheard_count++);
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
			send_unheard(n, p);
		}
		if (p->hello_at_ms > 0 && p->hello_at_ms < next_ms)
			next_ms = p->hello_at_ms;
	}
	if (next_ms != UINT64_MAX)
		timer_set(t, n->loop, loop_now_ms(n->loop) + (next_ms - now_ms), on_timer);
	node_run_effects(n);
}

/* A fresh one begins to count anew. */
void node_keep_hello(struct node *n, struct node_peer *p, const uint8_t *message)
{
	bool is_first = !is_kept(p) && !tunnel_peer_state(p->tunnel, node_now()).has_session;

	if (memcmp(p->hello, message, NODE_HELLO_BYTES) == 0)
		return;
	memcpy(p->hello, message, NODE_HELLO_BYTES);
	p->hello_count = 0;
	p->hello_at_ms = 0;
	p->unheard_count = is_first ? 0 : HELLO_UNHEARD_TIMES_MAX;
	send_unheard(n, p);
}

void node_lost_hello(struct node *n, struct node_peer *p)
{
	if (!is_kept(p) || p->hello_count == HELLO_TIMES_MAX)
		return;
	uint64_t pause_ms = (uint64_t)HELLO_FIRST_MS << p->hello_count;
	if (p->hello_at_ms > 0 && p->hello_at_ms <= clock_now_ms() + pause_ms)
		return;
	p->hello_count++;
	send_again(n, p, pause_ms);
}

void node_end_hello(struct node_peer *p)
{
	memset(p->hello, 0, sizeof(p->hello));
	p->hello_at_ms = 0;
}

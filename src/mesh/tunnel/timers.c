/* When something is done because nothing happened (WireGuard's paper, section 6):
 *
 *     an initiation had no answer for 5 s      another one, for 90 s; then what waits is dropped
 *     heard data, said nothing for 10 s        a keepalive
 *     said data, heard nothing for 15 s        a handshake
 *     540 s after the last handshake           the keys are wiped
 *     the keepalive that was asked for         counts from the last datagram either way
 *
 * and, without a timer, because of a packet: a pair that is 120 s old, or 165 s where we only hear,
 * is renewed by the side that made it. */
#include <stdlib.h>

#include "mesh/tunnel/private.h"

static uint64_t jitter(struct tunnel *t)
{
	uint8_t byte[2];

	tunnel_random(t, byte, sizeof(byte));
	return (uint64_t)(byte[0] | byte[1] << 8) * REKEY_JITTER_MS >> 16;
}

/* --- the heap -------------------------------------------------------------------------------- */
void peer_set_timer(struct tunnel_peer *p, enum tunnel_timer timer, uint64_t at_ms)
{
	struct heap *heap = &p->tunnel->timers;

	p->timers[timer] = at_ms;
	if (p->node.index == 0) {
		heap_add(heap, &p->node, at_ms);
	} else if (at_ms < p->node.key) {
		heap_remove(heap, &p->node);
		heap_add(heap, &p->node, at_ms);
	}
}

void peer_clear_timer(struct tunnel_peer *p, enum tunnel_timer timer)
{
	p->timers[timer] = NEVER;
}

void peer_clear_timers(struct tunnel_peer *p)
{
	for (int i = 0; i < TIMERS; i++)
		p->timers[i] = NEVER;
	heap_remove(&p->tunnel->timers, &p->node);
}

static void arm(struct tunnel_peer *p)
{
	uint64_t first = NEVER;

	for (int i = 0; i < TIMERS; i++)
		if (p->timers[i] < first)
			first = p->timers[i];
	heap_remove(&p->tunnel->timers, &p->node);
	if (first != NEVER)
		heap_add(&p->tunnel->timers, &p->node, first);
}

/* --- what happened --------------------------------------------------------------------------- */
static void put_off_persistent(struct tunnel_peer *p, uint64_t now_ms)
{
	if (p->keepalive_s > 0)
		peer_set_timer(p, TIMER_PERSISTENT, now_ms + p->keepalive_s * 1000ull);
}

void peer_sent(struct tunnel_peer *p, uint64_t now_ms, size_t bytes, bool is_data)
{
	p->state.sent_bytes += bytes;
	peer_clear_timer(p, TIMER_KEEPALIVE);
	p->keeps_alive_again = false;
	put_off_persistent(p, now_ms);
	if (is_data && p->timers[TIMER_UNANSWERED] == NEVER)
		peer_set_timer(p, TIMER_UNANSWERED, now_ms + UNANSWERED_MS + jitter(p->tunnel));
}

void peer_heard(struct tunnel_peer *p, uint64_t now_ms, size_t bytes, bool is_data)
{
	p->state.received_bytes += bytes;
	p->state.heard_ms = now_ms ? now_ms : 1;
	peer_clear_timer(p, TIMER_UNANSWERED);
	put_off_persistent(p, now_ms);
	if (!is_data)
		return;
	if (p->timers[TIMER_KEEPALIVE] == NEVER)
		peer_set_timer(p, TIMER_KEEPALIVE, now_ms + KEEPALIVE_MS);
	else
		p->keeps_alive_again = true;
}

void peer_has_initiated(struct tunnel_peer *p, uint64_t now_ms)
{
	peer_set_timer(p, TIMER_RETRY, now_ms + REKEY_TIMEOUT_MS + jitter(p->tunnel));
}

void peer_has_keys(struct tunnel_peer *p, uint64_t now_ms)
{
	peer_set_timer(p, TIMER_FORGET, now_ms + FORGET_AFTER_MS);
}

void peer_is_ready(struct tunnel_peer *p, struct tunnel_now now)
{
	peer_clear_timer(p, TIMER_RETRY);
	p->attempts = 0;
	p->is_rekeyed_late = false;
	p->state.handshake_wall_ms = now.wall_ms;
	tunnel_add_effect(p->tunnel, parcel_new(0), TUNNEL_READY, p);
}

/* --- what is done then ----------------------------------------------------------------------- */
static void give_up(struct tunnel_peer *p, uint64_t now_ms)
{
	peer_end_initiation(p);
	peer_clear_timer(p, TIMER_KEEPALIVE);
	peer_drop_queue(p);
	p->attempts = 0;
	if (p->timers[TIMER_FORGET] == NEVER)
		peer_has_keys(p, now_ms);
	tunnel_add_effect(p->tunnel, parcel_new(0), TUNNEL_SILENT, p);
}

static void run(struct tunnel_peer *p, enum tunnel_timer timer, struct tunnel_now now)
{
	switch (timer) {
	case TIMER_RETRY:
		if (p->attempts >= ATTEMPTS_MAX) {
			give_up(p, now.ms);
		} else {
			p->attempts++;
			peer_initiate(p, now, true);
		}
		return;
	case TIMER_KEEPALIVE: {
		bool again = p->keeps_alive_again;
		peer_send_keepalive(p, now);
		p->keeps_alive_again = false;
		if (again)
			peer_set_timer(p, TIMER_KEEPALIVE, now.ms + KEEPALIVE_MS);
		return;
	}
	case TIMER_UNANSWERED:
		peer_initiate(p, now, false);
		return;
	case TIMER_FORGET:
		peer_forget_keys(p);
		return;
	case TIMER_PERSISTENT:
		if (p->keepalive_s == 0)
			return;
		put_off_persistent(p, now.ms);
		peer_send_keepalive(p, now);
		return;
	case TIMERS:
		break;
	}
	abort();
}

uint64_t tunnel_deadline(const struct tunnel *t)
{
	const struct heap_node *first = heap_first(&t->timers);

	return first ? first->key : NEVER;
}

void tunnel_tick(struct tunnel *t, struct tunnel_now now)
{
	assert(t->magic == TUNNEL_MAGIC);
	for (struct heap_node *n; (n = heap_first(&t->timers)) && n->key <= now.ms;) {
		struct tunnel_peer *p = CONTAINER(n, struct tunnel_peer, node);

		for (int i = 0; i < TIMERS; i++) {
			if (p->timers[i] > now.ms)
				continue;
			p->timers[i] = NEVER;
			run(p, (enum tunnel_timer)i, now);
		}
		arm(p);
	}
}

void tunnel_set_keepalive(struct tunnel *t, struct tunnel_now now, struct tunnel_peer *p,
			  uint16_t seconds)
{
	bool is_new = p->keepalive_s == 0 && seconds > 0;

	p->keepalive_s = seconds;
	peer_clear_timer(p, TIMER_PERSISTENT);
	put_off_persistent(p, now.ms);
	if (is_new && t->has_secret)
		peer_send_keepalive(p, now);
}

#include "mesh/tunnel/private.h"

bool keypair_is_usable(const struct keypair *k, uint64_t now_ms)
{
	return k && now_ms - k->made_ms < REJECT_AFTER_MS && k->counter < REJECT_AFTER_MESSAGES;
}

struct keypair *keypair_new(struct tunnel_peer *p, struct wireguard_handshake *h, bool is_initiator,
			    uint64_t now_ms)
{
	struct keypair *k = NEW(struct keypair);

	k->index.peer = p;
	k->index.pair = k;
	k->remote_index = h->remote_index;
	k->is_initiator = is_initiator;
	k->made_ms = now_ms;
	wireguard_take_keys(h, is_initiator, k->seal, k->open);
	return k;
}

static void wipe(struct keypair *k)
{
	crypto_wipe(k, sizeof(*k));
	memory_free(k);
}

static void drop(struct tunnel_peer *p, struct keypair **slot)
{
	struct tunnel *t = p->tunnel;
	struct keypair *k = *slot;

	if (!k)
		return;
	tunnel_drop_index(t, &k->index);
	if (t->begun > 0)
		list_add(&t->dropped, &k->dropped);
	else
		wipe(k);
	*slot = NULL;
}

void tunnel_begin_batch(struct tunnel *t)
{
	t->begun++;
}

void tunnel_end_batch(struct tunnel *t)
{
	assert(t->begun > 0);
	if (--t->begun > 0)
		return;
	for (struct list *l; (l = list_pop(&t->dropped));)
		wipe(CONTAINER(l, struct keypair, dropped));
}

/* Where both began at once, what we made as responder is not used by them for long, but it may be
 * under way: it becomes the previous one. */
void peer_add_keypair(struct tunnel_peer *p, struct keypair *k)
{
	drop(p, &p->previous);
	if (!k->is_initiator) {
		drop(p, &p->next);
		p->next = k;
		return;
	}
	if (p->next) {
		drop(p, &p->current);
		p->previous = p->next;
		p->next = NULL;
	} else {
		p->previous = p->current;
	}
	p->current = k;
}

void peer_confirm_next(struct tunnel_peer *p)
{
	assert(p->next);
	drop(p, &p->previous);
	p->previous = p->current;
	p->current = p->next;
	p->next = NULL;
}

void peer_forget_keys(struct tunnel_peer *p)
{
	peer_end_initiation(p);
	drop(p, &p->previous);
	drop(p, &p->current);
	drop(p, &p->next);
}

/* The engine of the tunnel on several cores.  Packets are sealed and datagrams opened by whoever of
 * a crew is free, while the loop's thread reads the next ones and writes the ones before; they come
 * out in the order in which they went in.  Without threads everything happens within the call.
 *
 *     lanes_seal(packets) ...          on_sealed() for each, then or later, at the latest in
 *     lanes_finish_sealing()
 *
 *     fill lanes_incoming()
 *     lanes_open() ...                 on_opened() for each, then or later, at the latest in
 *     lanes_finish_opening()
 *
 * The host finishes both before its callback returns to the loop, so that nothing is under way when
 * timers, control or configuration have their turn. */
#ifndef MESH_LANES_LANES_H
#define MESH_LANES_LANES_H

#include "mesh/tunnel/tunnel.h"

enum {
	LANES_PACKETS_MAX = 256,  /* in one call of lanes_seal() */
	LANES_DATAGRAMS_MAX = 64, /* in a batch that is opened */
	LANES_OUTGOING_MAX = 16,  /* batches under way; the next one waits for the first */
	LANES_INCOMING_MAX = 16,
	LANES_PIECE = 16,	 /* packets that one thread takes at once, some 10 us */
	LANES_WORTH_WAKING = 64, /* so many are under way before another thread is woken */
	LANES_THREADS_MAX = 3,	 /* besides the loop's */
};

struct lanes;

struct lanes_incoming {
	struct tunnel_datagram datagrams[LANES_DATAGRAMS_MAX];
	void *notes; /* note_bytes for each of them, the host's */
	size_t count;
};

struct lanes_options {
	struct tunnel *tunnel;
	unsigned threads; /* as of lanes_threads(), or what a test wants */
	size_t note_bytes;
	void *context;
	/* The packets are datagrams.  More may be sealed by tunnel_seal() in it, not by lanes. */
	void (*on_sealed)(void *context, struct tunnel_peer *peer, struct tunnel_packet *packets,
			  size_t count);
	/* As after tunnel_open(). */
	void (*on_opened)(void *context, struct lanes_incoming *batch);
};

struct lanes *lanes_new(const struct lanes_options *o);
void lanes_free(struct lanes *l); /* what is under way is dropped; NULL is harmless */

/* How many are best on this machine. */
unsigned lanes_threads(void);

/* Packets for one peer; as tunnel_seal(), but that on_sealed() is called for what has become
 * datagrams.  `packets` is copied, the bytes stay where they are and must not change until then. */
void lanes_seal(struct lanes *l, struct tunnel_now now, struct tunnel_peer *peer,
		const struct tunnel_packet *packets, size_t count);
/* Which batches there were until now; those until `mark` are finished. */
uint64_t lanes_mark(const struct lanes *l);
void lanes_finish_sealing(struct lanes *l, uint64_t mark);
bool lanes_is_sealing(const struct lanes *l);

/* What to fill, until `count` is LANES_DATAGRAMS_MAX. */
struct lanes_incoming *lanes_incoming(struct lanes *l);
/* The bytes stay where they are and belong to lanes until on_opened(). */
void lanes_open(struct lanes *l, struct tunnel_now now);
void lanes_finish_opening(struct lanes *l, struct tunnel_now now);

/* Before tunnel_remove_peer(): what is under way for it is dropped. */
void lanes_forget_peer(struct lanes *l, struct tunnel_peer *peer);

#endif

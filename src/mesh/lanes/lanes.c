#include "mesh/lanes/lanes.h"

#include <assert.h>

#include "base/memory.h"
#include "loop/crew.h"
#include "wire/crypto/aead.h"

_Static_assert((int)LANES_THREADS_MAX <= (int)CREW_THREADS_MAX, "a crew has room for them");

struct outgoing {
	struct lanes *lanes;
	struct tunnel_peer *peer; /* NULL: it was removed */
	const struct keypair *pair;
	struct tunnel_packet packets[LANES_PACKETS_MAX];
	size_t count;
	uint64_t first_piece, end_piece;
};

struct incoming {
	struct lanes *lanes;
	struct lanes_incoming batch;
	uint64_t first_piece, end_piece;
};

struct lanes {
	struct lanes_options options;
	struct crew *crew; /* NULL: alone */
	struct aead_bulk *bulks[1 + LANES_THREADS_MAX];
	/* Rings: batches are counted, the first one is the oldest that is under way. */
	struct outgoing *outgoing[LANES_OUTGOING_MAX];
	struct incoming *incoming[LANES_INCOMING_MAX];
	uint64_t outgoing_first, outgoing_end, incoming_first, incoming_end;
	size_t under_way; /* packets */
};

/* --- the crew -------------------------------------------------------------------------------- */
static void seal_piece(void *context, size_t from, size_t to, unsigned member)
{
	struct outgoing *o = context;

	tunnel_seal_work(o->pair, o->lanes->bulks[member], o->packets + from, to - from);
}

static void open_piece(void *context, size_t from, size_t to, unsigned member)
{
	struct incoming *in = context;

	tunnel_open_work(in->lanes->bulks[member], in->batch.datagrams + from, to - from);
}

/* What the others need is made with the first work for them. */
static void wake(struct lanes *l)
{
	if (l->under_way < LANES_WORTH_WAKING)
		return;
	for (unsigned i = 1; i <= l->options.threads; i++)
		if (!l->bulks[i])
			l->bulks[i] = aead_bulk_new();
	crew_wake(l->crew);
}

static void post(struct lanes *l, crew_work *work, void *batch, size_t count, uint64_t *ret_first,
		 uint64_t *ret_end)
{
	uint64_t piece = 0, pieces = 0;

	for (size_t at = 0; at < count; at += LANES_PIECE, pieces++)
		piece = crew_post(l->crew, work, batch, at,
				  count - at < LANES_PIECE ? count : at + LANES_PIECE);
	*ret_end = piece + 1;
	*ret_first = piece + 1 - pieces;
	l->under_way += count;
	wake(l);
}

static void finish_pieces(struct lanes *l, uint64_t first, uint64_t end, size_t count)
{
	for (uint64_t piece = first; piece < end; piece++)
		crew_finish(l->crew, piece);
	l->under_way -= count;
}

/* --- out ------------------------------------------------------------------------------------- */
static void seal_here(struct lanes *l, struct tunnel_now now, struct tunnel_peer *peer,
		      const struct tunnel_packet *from, size_t count)
{
	struct tunnel_packet packets[LANES_PACKETS_MAX];

	memcpy(packets, from, count * sizeof(packets[0]));
	if (tunnel_seal(l->options.tunnel, now, peer, packets, count))
		l->options.on_sealed(l->options.context, peer, packets, count);
}

void lanes_seal(struct lanes *l, struct tunnel_now now, struct tunnel_peer *peer,
		const struct tunnel_packet *packets, size_t count)
{
	assert(count <= LANES_PACKETS_MAX);
	if (!l->crew || (count < LANES_PIECE && !lanes_is_sealing(l))) {
		seal_here(l, now, peer, packets, count);
		return;
	}
	if (l->outgoing_end - l->outgoing_first == LANES_OUTGOING_MAX)
		lanes_finish_sealing(l, l->outgoing_first + 1);
	struct outgoing **slot = &l->outgoing[l->outgoing_end % LANES_OUTGOING_MAX];
	if (!*slot)
		*slot = NEW(struct outgoing);
	struct outgoing *o = *slot;
	memcpy(o->packets, packets, count * sizeof(packets[0]));
	if (!tunnel_seal_begin(l->options.tunnel, now, peer, o->packets, count, &o->pair))
		return;
	o->lanes = l;
	o->peer = peer;
	o->count = count;
	l->outgoing_end++;
	post(l, seal_piece, o, count, &o->first_piece, &o->end_piece);
}

uint64_t lanes_mark(const struct lanes *l)
{
	return l->outgoing_end;
}

bool lanes_is_sealing(const struct lanes *l)
{
	return l->outgoing_first < l->outgoing_end;
}

void lanes_finish_sealing(struct lanes *l, uint64_t mark)
{
	assert(mark <= l->outgoing_end);
	while (l->outgoing_first < mark) {
		struct outgoing *o = l->outgoing[l->outgoing_first % LANES_OUTGOING_MAX];

		finish_pieces(l, o->first_piece, o->end_piece, o->count);
		tunnel_end_batch(l->options.tunnel);
		if (o->peer)
			l->options.on_sealed(l->options.context, o->peer, o->packets, o->count);
		l->outgoing_first++;
	}
}

void lanes_forget_peer(struct lanes *l, struct tunnel_peer *peer)
{
	for (uint64_t i = l->outgoing_first; i < l->outgoing_end; i++)
		if (l->outgoing[i % LANES_OUTGOING_MAX]->peer == peer)
			l->outgoing[i % LANES_OUTGOING_MAX]->peer = NULL;
}

/* --- in -------------------------------------------------------------------------------------- */
static struct incoming *incoming_at(struct lanes *l, uint64_t number)
{
	struct incoming **slot = &l->incoming[number % LANES_INCOMING_MAX];

	if (!*slot) {
		*slot = NEW(struct incoming);
		(*slot)->lanes = l;
		(*slot)->batch.notes =
			memory_take_array(LANES_DATAGRAMS_MAX, l->options.note_bytes);
	}
	return *slot;
}

struct lanes_incoming *lanes_incoming(struct lanes *l)
{
	return &incoming_at(l, l->incoming_end)->batch;
}

static void finish_first(struct lanes *l, struct tunnel_now now)
{
	struct incoming *in = incoming_at(l, l->incoming_first);

	finish_pieces(l, in->first_piece, in->end_piece, in->batch.count);
	tunnel_open_end(l->options.tunnel, now, in->batch.datagrams, in->batch.count);
	l->options.on_opened(l->options.context, &in->batch);
	in->batch.count = 0;
	l->incoming_first++;
}

void lanes_open(struct lanes *l, struct tunnel_now now)
{
	struct incoming *in = incoming_at(l, l->incoming_end);
	struct lanes_incoming *batch = &in->batch;

	assert(batch->count <= LANES_DATAGRAMS_MAX);
	if (batch->count == 0)
		return;
	if (!l->crew || (batch->count < LANES_PIECE && l->incoming_first == l->incoming_end)) {
		tunnel_open(l->options.tunnel, now, batch->datagrams, batch->count);
		l->options.on_opened(l->options.context, batch);
		batch->count = 0;
		return;
	}
	tunnel_open_begin(l->options.tunnel, batch->datagrams, batch->count);
	l->incoming_end++;
	post(l, open_piece, in, batch->count, &in->first_piece, &in->end_piece);
	if (l->incoming_end - l->incoming_first == LANES_INCOMING_MAX)
		finish_first(l, now); /* there is always one to fill */
}

void lanes_finish_opening(struct lanes *l, struct tunnel_now now)
{
	lanes_open(l, now);
	while (l->incoming_first < l->incoming_end)
		finish_first(l, now);
}

/* --- life ------------------------------------------------------------------------------------ */
/* Half of the cores are for whom the packets are. */
unsigned lanes_threads(void)
{
	unsigned threads = crew_cores() / 2;

	if (threads <= 1)
		return 0;
	return threads - 1 < LANES_THREADS_MAX ? threads - 1 : LANES_THREADS_MAX;
}

struct lanes *lanes_new(const struct lanes_options *o)
{
	struct lanes *l = NEW(struct lanes);

	assert(o->threads <= LANES_THREADS_MAX);
	l->options = *o;
	l->crew = o->threads > 0 ? crew_new(o->threads) : NULL;
	l->bulks[0] = o->threads > 0 ? aead_bulk_new() : NULL;
	return l;
}

static void drop(struct lanes *l)
{
	for (; l->outgoing_first < l->outgoing_end; l->outgoing_first++) {
		struct outgoing *o = l->outgoing[l->outgoing_first % LANES_OUTGOING_MAX];
		finish_pieces(l, o->first_piece, o->end_piece, o->count);
		tunnel_end_batch(l->options.tunnel);
	}
	for (; l->incoming_first < l->incoming_end; l->incoming_first++) {
		struct incoming *in = incoming_at(l, l->incoming_first);
		finish_pieces(l, in->first_piece, in->end_piece, in->batch.count);
		tunnel_end_batch(l->options.tunnel);
	}
}

void lanes_free(struct lanes *l)
{
	if (!l)
		return;
	drop(l);
	crew_free(l->crew);
	for (size_t i = 0; i < sizeof(l->bulks) / sizeof(l->bulks[0]); i++)
		aead_bulk_free(l->bulks[i]);
	for (size_t i = 0; i < LANES_OUTGOING_MAX; i++)
		memory_free(l->outgoing[i]);
	for (size_t i = 0; i < LANES_INCOMING_MAX; i++) {
		if (l->incoming[i])
			memory_free(l->incoming[i]->batch.notes);
		memory_free(l->incoming[i]);
	}
	memory_free(l);
}

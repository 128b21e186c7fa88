/* The first message of a stream lists all machines, which is the same list for everyone but for
 * the one who gets it.  So it is compressed in blocks of machines that follow each other, and a
 * block is compressed again only when one of its machines has changed:
 *
 *	{ ... "Peers":[ | first block | block | block with the receiver in it | block | ]}
 *	  own	          own           shared  own, without it                 shared
 *
 * The first one is its own because nothing stands in front of its first machine. */
#include "base/hash.h"
#include "base/memory.h"
#include "mesh/realm/private.h"

struct peer_block {
	uint64_t fingerprint; /* of the machines in it, as they were compressed; 0: never */
	struct buf chunk;
};

/* Who is in it, and in which state. */
static uint64_t fingerprint_of(struct machine *const *machines, size_t count)
{
	uint64_t parts[PEER_BLOCK_MACHINES][2];

	for (size_t i = 0; i < count; i++) {
		parts[i][0] = (uint64_t)machines[i]->id << 1 | machines[i]->is_shown;
		parts[i][1] = machines[i]->generation;
	}
	return hash_bytes((struct slice) { (const uint8_t *)parts, count * sizeof(parts[0]) }) | 1;
}

/* Append the machines of a block as text; *is_first: nothing stands in front of it yet. */
static void add_machines(struct buf *text, struct machine *const *machines, size_t count,
			 const struct machine *except, bool *is_first)
{
	for (size_t i = 0; i < count; i++) {
		if (machines[i] == except || !machines[i]->is_shown)
			continue;
		if (!*is_first)
			buf_add_u8(text, ',');
		buf_add_slice(text, machine_json(machines[i]));
		*is_first = false;
	}
}

static void add_chunk(struct buf *frame, const struct buf *text)
{
	if (text->size)
		control_chunk_encode(frame, buf_slice(text));
}

static struct peer_block *block_at(struct realm *r, size_t number)
{
	while (r->block_count <= number) {
		r->blocks = memory_grow(r->blocks, (r->block_count + 1) * sizeof(*r->blocks));
		r->blocks[r->block_count] = (struct peer_block) { 0 };
		buf_init(&r->blocks[r->block_count++].chunk);
	}
	return &r->blocks[number];
}

static void add_shared(struct realm *r, struct buf *frame, size_t number,
		       struct machine *const *machines, size_t count, struct buf *text)
{
	struct peer_block *block = block_at(r, number);
	uint64_t fingerprint = fingerprint_of(machines, count);
	bool is_first = false;

	if (block->fingerprint != fingerprint) {
		add_machines(text, machines, count, NULL, &is_first);
		buf_clear(&block->chunk);
		add_chunk(&block->chunk, text);
		block->fingerprint = fingerprint;
	}
	buf_add_slice(frame, buf_slice(&block->chunk));
}

void peer_blocks_add(struct realm *r, struct buf *frame, const struct machine *except)
{
	bool is_first = true;
	struct buf text;

	buf_init(&text);
	for (size_t at = 0; at < r->machine_count; at += PEER_BLOCK_MACHINES) {
		struct machine *const *machines = r->machines + at;
		size_t left = r->machine_count - at;
		size_t count = left < PEER_BLOCK_MACHINES ? left : PEER_BLOCK_MACHINES;
		bool has_except =
			machines[0]->id <= except->id && machines[count - 1]->id >= except->id;

		buf_clear(&text);
		if (is_first || has_except) {
			add_machines(&text, machines, count, except, &is_first);
			add_chunk(frame, &text);
		} else {
			add_shared(r, frame, at / PEER_BLOCK_MACHINES, machines, count, &text);
		}
	}
	buf_done(&text);
}

void peer_blocks_done(struct realm *r)
{
	for (size_t i = 0; i < r->block_count; i++)
		buf_done(&r->blocks[i].chunk);
	memory_free(r->blocks);
	r->blocks = NULL;
	r->block_count = 0;
}

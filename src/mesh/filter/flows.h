/* Flows that are under way, hashed: buckets of FLOWS_WAYS, the table doubles when a bucket is
 * full.  At its largest, the stalest flow of a full bucket gives way, those that peers began first,
 * so that no peer can push out what this machine began. */
#ifndef MESH_FILTER_FLOWS_H
#define MESH_FILTER_FLOWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FLOWS_WAYS = 8 };

struct flow_key {
	uint8_t ours[16], theirs[16];
	uint16_t our_port, their_port; /* of an echo: its identifier */
	uint8_t protocol;
	uint8_t family; /* of both addresses */
	uint8_t zero[2];
};

struct flow {
	struct flow_key key;
	uint32_t expires_s; /* of the engine's time */
	uint32_t rules;	    /* the rules it was last held against */
	bool is_ours;	    /* this machine began it */
	bool is_revoked;    /* a peer began it and may no longer */
	bool is_answered;   /* packets went both ways */
	bool is_guessed;    /* ours by a guess: its beginning was before this process */
	uint8_t fins;	    /* TCP: 1 from us, 2 from them, 4 reset */
};

struct flows;

struct flows *flows_new(size_t flows_max);
void flows_free(struct flows *f);

/* NULL: not there, or expired.  The pointer is good until the next flows_add(). */
struct flow *flows_find(struct flows *f, const struct flow_key *key, uint32_t now_s);

/* A new one, zero but for key and is_ours; the key is not there yet.  NULL: the place is taken by
 * flows that this machine began, and this one a peer did. */
struct flow *flows_add(struct flows *f, const struct flow_key *key, bool is_ours, uint32_t now_s);

/* For counters: how many there are, expired ones too until their place is used again. */
size_t flows_count(const struct flows *f);
size_t flows_evicted(const struct flows *f);

/* Each one; start with *cursor = 0; NULL at the end. */
struct flow *flows_next(struct flows *f, size_t *cursor);
void flows_remove(struct flows *f, struct flow *flow);

#endif

#include "oracle.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/endian.h"
#include "base/memory.h"
#include "cells/journal_format.h"

void oracle_init(struct oracle *o, struct store *stores, unsigned bucket_count)
{
	*o = (struct oracle) { .stores = stores, .bucket_count = bucket_count, .journal = "main" };
	o->committed = memory_take_array(ORACLE_INDEX_MAX, sizeof(*o->committed));
	o->epochs = memory_take_array(ORACLE_INDEX_MAX, sizeof(*o->epochs));
	for (unsigned n = 0; n < ORACLE_NODES_MAX; n++) {
		o->nodes[n].log = memory_take_array(ORACLE_INDEX_MAX, sizeof(uint64_t));
		o->nodes[n].tokens = memory_take_array(ORACLE_INDEX_MAX, sizeof(uint64_t));
	}
}

void oracle_done(struct oracle *o)
{
	memory_free(o->committed);
	memory_free(o->epochs);
	for (unsigned n = 0; n < ORACLE_NODES_MAX; n++) {
		memory_free(o->nodes[n].log);
		memory_free(o->nodes[n].tokens);
	}
}

static void PRINTF_LIKE(2, 3) violated(struct oracle *o, const char *format, ...)
{
	va_list arguments;

	if (o->why[0])
		return;
	va_start(arguments, format);
	vsnprintf(o->why, sizeof(o->why), format, arguments);
	va_end(arguments);
}

/* --- the application -------------------------------------------------------------------------- */
bool oracle_append(struct oracle *o, unsigned node, uint64_t value, uint64_t now_ms,
		   struct journal_effects *fx)
{
	struct oracle_node *n = &o->nodes[node];
	uint8_t bytes[8];
	struct journal_event event = { .kind = JOURNAL_APPEND, .now_ms = now_ms };

	put_u64(bytes, value);
	event.append.payload = (struct slice) { bytes, sizeof(bytes) };
	if (n->log_count + 2 >= ORACLE_INDEX_MAX || journal_step(n->journal, &event, fx) != OK)
		return false;
	n->log[++n->log_count] = value;
	if (journal_last_index(n->journal) != n->log_count)
		violated(o, "node %u appended at %" PRIu64 ", not at %" PRIu64, node,
			 journal_last_index(n->journal), n->log_count);
	return true;
}

bool oracle_check(struct oracle *o, unsigned node, uint64_t now_ms, struct journal_effects *fx)
{
	struct oracle_node *n = &o->nodes[node];
	struct journal_event event = { .kind = JOURNAL_CHECK, .now_ms = now_ms };

	if (n->token + 1 >= ORACLE_INDEX_MAX)
		return false;
	n->tokens[n->token + 1] = o->committed_count;
	event.check.token = n->token + 1;
	if (journal_step(n->journal, &event, fx) != OK)
		return false;
	n->token++;
	return true;
}

bool oracle_snapshot(struct oracle *o, unsigned node, uint64_t now_ms, struct journal_effects *fx)
{
	struct oracle_node *n = &o->nodes[node];
	struct journal_event event = { .kind = JOURNAL_SNAPSHOT, .now_ms = now_ms };

	event.snapshot.index = n->committed;
	event.snapshot.size = 8;
	put_u64(event.snapshot.bytes, n->committed);
	if (journal_step(n->journal, &event, fx) != OK)
		return false;
	if (n->committed > o->snapshot_index)
		o->snapshot_index = n->committed;
	return true;
}

void oracle_crashed(struct oracle *o, unsigned node)
{
	struct oracle_node *n = &o->nodes[node];

	n->leads = false;
	n->log_count = n->committed = n->token = n->token_told = 0;
}

/* --- outcomes --------------------------------------------------------------------------------- */
static bool is_record(const struct blob *body)
{
	struct journal_object record;

	/* What rotted is still a copy: only a seal is none. */
	return body && journal_object_decode(blob_slice(body), JOURNAL_OBJECT_SEAL, &record) != OK;
}

static unsigned copies(const struct oracle *o, struct epoch epoch, uint64_t sequence)
{
	char key[JOURNAL_KEY_BYTES], copy[JOURNAL_KEY_BYTES];
	unsigned count = 0;

	journal_key_record(key, o->journal, epoch, sequence);
	journal_key_copy(copy, o->journal, epoch, sequence);
	for (unsigned k = 0; k < o->bucket_count; k++)
		count += is_record(store_find(&o->stores[k], key)) ||
			 store_find(&o->stores[k], copy);
	return count;
}

static void commit_one(struct oracle *o, unsigned node, uint64_t index)
{
	struct oracle_node *n = &o->nodes[node];

	if (index <= o->committed_count) {
		if (o->committed[index] != n->log[index])
			violated(o,
				 "index %" PRIu64 " is committed twice: %" PRIx64
				 " and, by node %u, "
				 "%" PRIx64,
				 index, o->committed[index], node, n->log[index]);
		return;
	}
	o->committed[index] = n->log[index];
	o->epochs[index] = journal_epoch(n->journal);
	o->committed_count = index;
	o->commits++;
}

static void on_leads(struct oracle *o, unsigned node, const struct journal_effect *e)
{
	struct oracle_node *n = &o->nodes[node];

	o->leads++;
	n->leads = true;
	n->base = e->index;
	if (n->log_count != e->index)
		violated(o, "node %u leads from %" PRIu64 " but recovered %" PRIu64, node, e->index,
			 n->log_count);
	uint64_t needed = o->committed_count;
	while (needed && epoch_compare(o->epochs[needed], journal_epoch(n->journal)) >= 0)
		needed--;
	if (n->log_count < needed)
		violated(o, "node %u lost %" PRIu64 " committed records", node,
			 needed - n->log_count);
	for (uint64_t i = 1; i <= n->log_count; i++)
		commit_one(o, node, i);
	n->committed = n->log_count;
	if (n->log_count > o->snapshot_index &&
	    copies(o, n->newest, n->newest_sequence) <= o->bucket_count / 2)
		violated(o, "node %u leads, its newest adopted record is not on a majority", node);
}

static void on_committed(struct oracle *o, unsigned node, const struct journal_effect *e)
{
	struct oracle_node *n = &o->nodes[node];

	if (!n->leads || e->index <= n->committed || e->index > n->log_count)
		violated(o, "node %u committed %" PRIu64 " out of order", node, e->index);
	for (uint64_t i = n->committed + 1; i <= e->index && !o->why[0]; i++) {
		commit_one(o, node, i);
		if (i > o->snapshot_index &&
		    copies(o, journal_epoch(n->journal), i - n->base) <= o->bucket_count / 2)
			violated(o, "node %u: committed record %" PRIu64 " is not on a majority",
				 node, i);
	}
	n->committed = e->index;
}

static void on_adopted(struct oracle *o, unsigned node, const struct journal_effect *e)
{
	struct oracle_node *n = &o->nodes[node];

	n->log_count = e->snapshot.index;
	n->adopted_to = e->index;
	n->committed = n->token = n->token_told = 0;
	if (n->log_count > o->committed_count)
		violated(o, "node %u: the snapshot is ahead of what was committed", node);
	else
		memcpy(n->log, o->committed, (n->log_count + 1) * sizeof(*n->log));
}

static void on_record(struct oracle *o, unsigned node, const struct journal_effect *e)
{
	struct oracle_node *n = &o->nodes[node];
	struct journal_object record;

	if (e->index != n->log_count + 1 || e->index > n->adopted_to || e->payload.size != 8 ||
	    journal_object_decode(blob_slice(e->body), JOURNAL_OBJECT_RECORD, &record) != OK) {
		violated(o, "node %u was handed record %" PRIu64 " after %" PRIu64, node, e->index,
			 n->log_count);
		return;
	}
	n->log[++n->log_count] = get_u64(e->payload.data);
	n->newest = record.epoch;
	n->newest_sequence = record.sequence;
}

void oracle_outcome(struct oracle *o, unsigned node, const struct journal_effect *e)
{
	struct oracle_node *n = &o->nodes[node];

	switch (e->kind) {
	case JOURNAL_ADOPTED:
		on_adopted(o, node, e);
		break;
	case JOURNAL_RECORD:
		on_record(o, node, e);
		break;
	case JOURNAL_LEADS:
		on_leads(o, node, e);
		break;
	case JOURNAL_COMMITTED:
		on_committed(o, node, e);
		break;
	case JOURNAL_CHECKED:
		o->checks++;
		if (!n->leads || e->token > n->token || e->token <= n->token_told)
			violated(o, "node %u answered a check that was not asked", node);
		else if (n->committed < n->tokens[e->token])
			violated(o, "node %u answered a check without knowing record %" PRIu64,
				 node, n->tokens[e->token]);
		n->token_told = e->token;
		break;
	case JOURNAL_LOST:
		o->lost++;
		oracle_crashed(o, node);
		break;
	case JOURNAL_FAILED:
		o->failed++;
		o->corrupt += e->err == ERR_CORRUPT;
		oracle_crashed(o, node);
		break;
	case JOURNAL_IO_PUT:
	case JOURNAL_IO_PUT_NEW:
	case JOURNAL_IO_GET:
	case JOURNAL_IO_LIST:
	case JOURNAL_IO_DELETE:
		break;
	}
}

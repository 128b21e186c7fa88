#include "streams/coordinator/hello.h"

#include "streams/coordinator/counter.h"
#include "streams/coordinator/unsure.h"
#include "wire/peer/condition.h"

enum { NODE_ID_FIRST = 1, NAME_BYTES_MAX = 255 };

static bool name_is_sound(struct slice name)
{
	return name.size > 0 && name.size <= NAME_BYTES_MAX;
}

/* The row of this node, if it has been here before. */
static bool find_agent(struct cell *cell, struct hello *h)
{
	sqlite3_stmt *st =
		cell_statement(cell, "SELECT id, incarnation FROM agent WHERE node = ?1");

	cell_bind_text(st, 1, h->request->node);
	bool found = cell_next(cell, st);
	if (found) {
		h->node_id = sqlite3_column_int(st, 0);
		h->incarnation = sqlite3_column_int64(st, 1);
	}
	sqlite3_reset(st);
	return found;
}

static enum err save_agent(struct cell *cell, const struct hello *h, bool is_known)
{
	sqlite3_stmt *st = cell_statement(
		cell, is_known ? "UPDATE agent SET node = ?2, host = ?3, port = ?4, site = ?5,"
				 " low_sequence = CASE WHEN incarnation = ?6 THEN"
				 " low_sequence ELSE 0 END, incarnation = ?6, is_live = ?7,"
				 " blocks = ?8 WHERE id = ?1"
			       : "INSERT INTO agent (id, node, host, port, site, incarnation,"
				 " low_sequence, is_live, blocks)"
				 " VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?8)");

	cell_bind_int(st, 1, h->node_id);
	cell_bind_text(st, 2, h->request->node);
	cell_bind_text(st, 3, h->request->kafka_host);
	cell_bind_int(st, 4, h->request->kafka_port);
	cell_bind_text(st, 5, h->request->site);
	cell_bind_int(st, 6, h->incarnation);
	cell_bind_int(st, 7, h->request->condition == AGENT_SERVES);
	cell_bind_text(st, 8, h->request->blocks);
	return cell_execute(cell, st);
}

enum err hello_run(struct cell *cell, void *argument)
{
	struct hello *h = argument;
	enum err err = OK;

	if (!name_is_sound(h->request->node) || !name_is_sound(h->request->kafka_host) ||
	    h->request->site.size > NAME_BYTES_MAX || h->request->blocks.size > NAME_BYTES_MAX ||
	    h->request->kafka_port <= 0 || h->request->kafka_port > UINT16_MAX ||
	    h->request->condition < 0 || h->request->condition >= AGENT_CONDITIONS)
		return ERR_INVALID;

	bool is_known = find_agent(cell, h);
	if (!is_known) {
		int64_t node_id = 0;
		err = counter_next(cell, "node_id", NODE_ID_FIRST, &node_id);
		h->node_id = (int32_t)node_id;
	}
	bool goes_on = is_known && h->request->incarnation == h->incarnation;
	if (!err && !goes_on)
		err = counter_next_incarnation(cell, &h->incarnation);
	if (!err && goes_on)
		err = unsure_return(cell, h->incarnation);
	return err ? err : save_agent(cell, h, is_known);
}

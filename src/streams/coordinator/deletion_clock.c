#include "streams/coordinator/deletion_clock.h"

#include "streams/coordinator/configs.h"

void deletion_clock_begin(struct deletion_clock *c, int64_t reached_ms, uint64_t loop_ms)
{
	*c = (struct deletion_clock) { .reached_ms = reached_ms, .loop_ms = loop_ms };
}

/* To go back deletes nothing: it takes longer to come as far again. */
static void look_back(struct deletion_clock *c, int64_t wall_ms, uint64_t loop_ms)
{
	if (c->reached_ms - DELETION_CLOCK_AHEAD_MS < wall_ms) {
		c->ahead_since_ms = 0;
		return;
	}
	if (c->ahead_since_ms == 0)
		c->ahead_since_ms = loop_ms;
	if (loop_ms - c->ahead_since_ms < DELETION_CLOCK_HOLD_MS)
		return;
	c->reached_ms = wall_ms;
	c->ahead_since_ms = 0;
}

int64_t deletion_clock_tick(struct deletion_clock *c, int64_t wall_ms, uint64_t loop_ms)
{
	int64_t elapsed_ms = (int64_t)(loop_ms - c->loop_ms);
	int64_t limit_ms;

	c->loop_ms = loop_ms;
	look_back(c, wall_ms, loop_ms);
	if (wall_ms <= c->reached_ms)
		return wall_ms; /* it went back, or is wrong: what was believed stays so */
	if (__builtin_mul_overflow(elapsed_ms, DELETION_CLOCK_SPEED, &limit_ms) ||
	    __builtin_add_overflow(c->reached_ms, limit_ms, &limit_ms))
		limit_ms = wall_ms;
	c->reached_ms = wall_ms < limit_ms ? wall_ms : limit_ms;
	return c->reached_ms;
}

/* What the catalog has; false: nothing yet. */
static bool read_reached(struct cell *cell, int64_t *ret)
{
	sqlite3_stmt *st =
		cell_statement(cell, "SELECT reached_ms FROM deletion_clock ORDER BY id LIMIT 1");
	bool is_there = cell_next(cell, st);

	if (is_there)
		*ret = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return is_there;
}

enum err deletion_clock_write(struct cell *cell, int64_t reached_ms)
{
	return cell_execute_sql(cell,
				"INSERT INTO deletion_clock (id, reached_ms) VALUES (1, ?1)"
				" ON CONFLICT (id) DO UPDATE SET reached_ms = ?1",
				reached_ms, 0);
}

static bool newest_file(struct cell *cell, int64_t *ret_committed_ms)
{
	sqlite3_stmt *st =
		cell_statement(cell, "SELECT committed_ms FROM file ORDER BY id DESC LIMIT 1");
	bool is_there = cell_next(cell, st);

	if (is_there)
		*ret_committed_ms = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return is_there;
}

static enum err keep_for_ever(struct cell *cell)
{
	static const struct slice name = { (const uint8_t *)"log.retention.ms", 16 };

	if (config_broker_number(cell, "log.retention.ms", INT64_MIN) != INT64_MIN)
		return OK;
	return config_write(cell, CONFIG_BROKER, SLICE(""), name, SLICE("-1"));
}

enum err deletion_clock_first(struct cell *cell, int64_t wall_ms, int64_t *ret)
{
	int64_t committed_ms;
	enum err err = OK;

	if (read_reached(cell, ret))
		return OK;
	*ret = wall_ms;
	if (newest_file(cell, &committed_ms)) {
		*ret = committed_ms < wall_ms ? committed_ms : wall_ms;
		err = keep_for_ever(cell);
	}
	return err ? err : deletion_clock_write(cell, *ret);
}

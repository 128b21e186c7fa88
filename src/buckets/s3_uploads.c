#include "buckets/s3_uploads.h"

#include "base/clock.h"
#include "base/memory.h"

struct s3_uploads *s3_uploads_new(void)
{
	struct s3_uploads *u = NEW(struct s3_uploads);

	arena_init(&u->arena);
	return u;
}

void s3_uploads_free(struct s3_uploads *u)
{
	if (!u)
		return;
	arena_done(&u->arena);
	memory_free(u);
}

static bool is_ours(const struct s3_op *o, struct slice key)
{
	struct slice prefix = slice_from(o->bucket->config.prefix);

	if (!slice_starts_with(key, prefix))
		return false;
	key = slice_part(key, prefix.size, key.size);
	return !bucket_check_key(key) && slice_starts_with(key, o->op->key);
}

/* By the store's clock, which said when it was begun. */
static bool is_old(const struct s3_op *o, int64_t begun_ms)
{
	int64_t now_ms = clock_wall_ms(), age_ms;

	if (o->bucket->facts.has_clock)
		now_ms += o->bucket->facts.clock_ahead_ms;
	return begun_ms != S3_TIME_UNKNOWN && !__builtin_sub_overflow(now_ms, begun_ms, &age_ms) &&
	       age_ms >= 0 && (uint64_t)age_ms >= o->op->age_ms;
}

bool s3_uploads_find(struct s3_op *o)
{
	struct s3_uploads *u = o->uploads;

	while (u->next < u->page.count) {
		u->begun = &u->page.begun[u->next++];
		if (is_ours(o, u->begun->key) && is_old(o, u->begun->begun_ms))
			return true;
	}
	return false;
}

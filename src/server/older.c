#include "server/older.h"

#include <inttypes.h>
#include <stdio.h>

#define ADVICE                                                                                     \
	"Acknowledged changes are missing, so nothing is served from it.  Bring the newest "       \
	"state of these buckets back, all of it, and start all nodes again.  To go on without "    \
	"what is missing, stop every node before one is started."

void older_led(struct older *o, struct epoch epoch)
{
	if (epoch_compare(epoch, o->newest) > 0)
		o->newest = epoch;
}

bool older_found(struct older *o, const struct holder_find *find, int bucket_count,
		 const char *buckets)
{
	if (o->is_proven)
		return false;
	o->text[0] = '\0';
	if (2 * find->read_count <= bucket_count || epoch_compare(find->epoch, o->newest) >= 0)
		return true;
	snprintf(o->text, sizeof(o->text),
		 "THE JOURNAL IS OLDER THAN IT WAS: term %" PRIu64 " led it, and in %.200s term "
		 "%" PRIu64 " is the newest.  " ADVICE,
		 o->newest.counter, buckets, find->epoch.counter);
	return false;
}

void older_proven(struct older *o, const struct leader_position *seen, struct slice node,
		  uint64_t committed, const char *buckets)
{
	o->is_proven = true;
	if (seen->index > committed)
		snprintf(o->text, sizeof(o->text),
			 "THE JOURNAL IS OLDER THAN IT WAS: agent %.*s has seen record %" PRIu64
			 " of it, and %.200s ends at record %" PRIu64 ": %" PRIu64
			 " are missing.  " ADVICE,
			 node.size > 80 ? 80 : (int)node.size, (const char *)node.data, seen->index,
			 buckets, committed, seen->index - committed);
	else
		snprintf(o->text, sizeof(o->text),
			 "THE JOURNAL IS NOT WHAT IT WAS: agent %.*s has seen another record "
			 "%" PRIu64 " than %.200s has.  " ADVICE,
			 node.size > 80 ? 80 : (int)node.size, (const char *)node.data, seen->index,
			 buckets);
}

void older_refused(struct older *o, const char *why, const char *buckets)
{
	if (!o->is_proven)
		snprintf(o->text, sizeof(o->text),
			 "THE JOURNAL IS NOT WHAT IT WAS: %.120s, in %.200s.  " ADVICE, why,
			 buckets);
}

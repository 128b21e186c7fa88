#include "streams/agent/synced.h"

enum { SYNCED_DECODE, SYNCED_CURRENT };

const char *const synced_places[SYNCED_PLACES] = { "decode", "current" };

enum step synced_step(struct request *r,
		      enum step (*answer)(struct request *r, const void *decoded, bool is_current))
{
	struct synced *s = r->state;

	if (r->task.at == SYNCED_DECODE) {
		s->request = request_decode(r);
		if (!s->request)
			return request_refuse(r, "%s cannot be decoded", r->api->name);
		if (!replica_cell(r->agent->replica))
			return request_refuse(r, "%s before the catalog is known", r->api->name);
		sync_start(&s->sync, &r->task, r->agent);
		return task_wait(&r->task, SYNCED_CURRENT);
	}
	if (r->task.children > 0)
		return task_wait(&r->task, SYNCED_CURRENT);
	return answer(r, s->request, s->sync.task.err == OK);
}

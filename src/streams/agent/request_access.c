/* What a client may do, asked of an agent: its denials go from here to the audit topic. */
#include "streams/agent/agent.h"
#include "streams/agent/audit.h"
#include "streams/agent/connection.h"
#include "streams/agent/request.h"
#include "streams/agent/sign_in.h"

struct guard_caller request_caller(const struct request *r)
{
	const char *principal = connection_sign_in(r->connection)->principal;

	return (struct guard_caller) {
		.principal = principal[0] ? slice_from(principal) : (struct slice) { 0 },
		.host = slice_from(request_client_host(r)),
	};
}

static void audit(struct request *r, const struct denial *noted, uint32_t dropped_before)
{
	struct guard_caller caller = request_caller(r);

	if (noted)
		audit_denied(r->agent->audit, &caller, r->api->name, noted);
	audit_dropped(r->agent->audit, r->denials.dropped - dropped_before);
}

bool request_may(struct request *r, enum grant_operation operation, enum grant_resource resource,
		 struct slice name)
{
	struct guard_caller caller = request_caller(r);
	uint32_t dropped = r->denials.dropped;
	const struct denial *noted;

	if (denials_ask(&r->denials, &r->arena, agent_guard(r->agent), &caller, operation, resource,
			name, &noted))
		return true;
	audit(r, noted, dropped);
	return false;
}

void request_deny(struct request *r, const struct denial *it)
{
	uint32_t dropped = r->denials.dropped;

	audit(r, denials_note(&r->denials, &r->arena, it), dropped);
}

bool request_sees(struct request *r, enum grant_resource resource, struct slice name)
{
	struct guard_caller caller = request_caller(r);

	return guard_may(agent_guard(r->agent), &caller, GRANT_DESCRIBE, resource, name);
}

int32_t request_operations(struct request *r, uint32_t mask, enum grant_resource resource,
			   struct slice name)
{
	struct guard_caller caller = request_caller(r);

	return (int32_t)guard_operations(agent_guard(r->agent), &caller, mask, resource, name);
}

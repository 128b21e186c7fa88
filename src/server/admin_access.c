/* POST /v1/access/explain of the admin API: may somebody do something with Kafka, and why?
 *
 *	{"principal": "User:alice", "host": "127.0.0.1", "operation": "READ",
 *	 "resource": "TOPIC", "name": "orders"}
 *	{"allowed": true, "leads": true, "reasons": [{"operation": "READ", "allowed": true,
 *	 "rule": "ALLOW ..." or null, "text": "User:alice may ..."}]}
 *
 * "operation" ALL is all that can be done with the resource, and all of it must be allowed.
 * "leads" is false where this node stands by: then it is as this node has followed. */
#include <jansson.h>
#include <string.h>

#include "server/admin_answer.h"
#include "server/control_role.h"
#include "streams/catalog/reason.h"

struct access_question {
	struct guard_caller who;
	enum grant_operation operation;
	enum grant_resource resource;
	struct slice name;
};

static bool read_text(const json_t *body, const char *name, size_t bytes_max, struct slice *ret)
{
	*ret = admin_text(body, name);
	return ret->size > 0 && ret->size <= bytes_max;
}

/* What is wrong with it; NULL: nothing. */
static const char *read_question(const json_t *body, struct access_question *ret)
{
	struct slice operation, resource;

	if (!read_text(body, "principal", GRANT_PRINCIPAL_BYTES_MAX, &ret->who.principal) ||
	    !read_text(body, "host", GRANT_HOST_BYTES_MAX, &ret->who.host) ||
	    !read_text(body, "name", GRANT_NAME_BYTES_MAX, &ret->name))
		return "it needs a principal, a host and a name, and they have their limits";
	if (!read_text(body, "resource", GRANT_NAME_BYTES_MAX, &resource) ||
	    grant_resource_find(resource, &ret->resource))
		return "the resource is none of TOPIC, GROUP, CLUSTER and TRANSACTIONAL_ID";
	if (!read_text(body, "operation", GRANT_NAME_BYTES_MAX, &operation) ||
	    grant_operation_find(operation, &ret->operation) ||
	    (ret->operation != GRANT_ALL &&
	     !(grant_operations_of(ret->resource) & 1u << ret->operation)))
		return "there is no such operation with that resource: "
		       "ALL shows which there are";
	return NULL;
}

static json_t *reasons_json(struct arena *a, const struct guard *g, const struct access_question *q,
			    bool *ret_is_allowed)
{
	uint32_t mask =
		q->operation == GRANT_ALL ? grant_operations_of(q->resource) : 1u << q->operation;
	json_t *reasons = json_array();

	*ret_is_allowed = true;
	for (uint32_t i = GRANT_READ; i <= GRANT_TWO_PHASE_COMMIT; i++) {
		if (!(mask & 1u << i))
			continue;
		struct guard_reason r =
			guard_reason(a, g, &q->who, (enum grant_operation)i, q->resource, q->name);
		*ret_is_allowed &= r.is_allowed;
		json_array_append_new(reasons,
				      json_pack("{s:s, s:b, s:s?, s:s}", "operation",
						grant_operation_name((enum grant_operation)i),
						"allowed", r.is_allowed, "rule", r.rule, "text",
						r.text));
	}
	return reasons;
}

/* NULL: there is no cell here. */
static json_t *explain(struct arena *a, const struct control *c, const struct access_question *q)
{
	struct cell *cell = control_cell(c);
	struct guard guard;
	bool is_allowed;

	if (!cell)
		return NULL;
	guard_init(&guard);
	guard_read(&guard, cell);
	json_t *reasons = reasons_json(a, &guard, q, &is_allowed);
	guard_done(&guard);
	return json_pack("{s:b, s:b, s:o}", "allowed", is_allowed, "leads", control_leads(c),
			 "reasons", reasons);
}

static int add_text(const char *text, size_t size, void *context)
{
	buf_add(context, text, size);
	return 0;
}

void admin_explain_access(struct control *c, struct http_exchange *e)
{
	json_t *body = admin_body(e);
	struct access_question q = { 0 };
	const char *wrong = read_question(body, &q);
	struct arena a;
	struct buf text;

	arena_init(&a);
	buf_init(&text);
	json_t *found = wrong ? NULL : explain(&a, c, &q);
	if (wrong)
		admin_answer(e, 400, wrong);
	else if (!found || json_dump_callback(found, add_text, &text, JSON_COMPACT))
		admin_answer(e, 503, "this node knows nothing yet: who leads has not been heard");
	else
		http_answer(e, 200, "application/json", buf_slice(&text));
	json_decref(found);
	json_decref(body);
	buf_done(&text);
	arena_done(&a);
}

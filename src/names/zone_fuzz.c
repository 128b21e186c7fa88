/* Any bytes as a query to a zone: an answer is always one to that query. */
#include "names/zone.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char netmap[] =
	"{\"sequence\":7,\"domain\":\"h.x\",\"self\":{\"name\":\"a\",\"addresses\":[\"100.64.0.1\"]"
	"},"
	"\"records\":[{\"name\":\"c.h.x\",\"type\":\"CNAME\",\"value\":\"c.h.x\"}],"
	"\"routes\":{\"r.x\":[\"192.0.2.1\"],\"l.x\":[]}}";

static struct zone *example(void)
{
	struct mesh_view view;
	struct arena a;

	arena_init(&a);
	if (mesh_view_parse(&a, slice_from(netmap), &view))
		abort();
	struct zone *z = zone_new(&view);
	arena_done(&a);
	return z;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct zone *zone;
	struct dns_query query;
	struct zone_route route;
	struct buf out;
	struct slice message = { data, size };

	if (!zone)
		zone = example();
	buf_init(&out);
	enum zone_outcome outcome = zone_answer(zone, message, size % 2, &out, &query, &route);
	if ((outcome == ZONE_ANSWERED) != (out.size > 0))
		abort();
	if (outcome == ZONE_ANSWERED && query.question_bytes &&
	    !dns_is_response_to(buf_slice(&out), &query))
		abort();
	buf_done(&out);
	return 0;
}

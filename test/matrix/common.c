/* What holds for every API: what cannot be read, and versions that are not served, end the
 * connection, because the protocol has no word for either. */
#include "base/endian.h"
#include "matrix.h"

/* A whole request as clients would send it, with nothing in it, less `missing` bytes. */
static void send_blank(struct test *t, struct client *c, bool has_body, size_t missing)
{
	const struct kafka_api *api = kafka_api_find(t->key);
	const struct kafka_request_header header = {
		.api_key = t->key,
		.api_version = t->version,
		.correlation_id = 1,
		.client_id = SLICE(TEST_CLIENT_ID),
	};
	struct buf out;

	buf_init(&out);
	buf_add_u32(&out, 0);
	kafka_request_header_encode(&header, &out);
	if (has_body) {
		void *request = arena_take(&t->arena, api->request->struct_bytes);
		schema_defaults(api->request, request);
		schema_encode(api->request, t->version, request, &out);
	}
	put_u32(out.data, (uint32_t)(out.size - missing - sizeof(uint32_t)));
	struct slice bytes = arena_copy(&t->arena, buf_slice(&out));
	buf_done(&out);
	client_send_bytes(t, c, slice_part(bytes, 0, bytes.size - missing));
}

static void cut_body(struct test *t)
{
	struct client *c = client_open(t);

	send_blank(t, c, true, 1);
	client_expect_close(t, c);
}

static void unserved_version(struct test *t)
{
	struct client *c = client_open(t);

	send_blank(t, c, false, 0);
	client_expect_close(t, c);
}

static bool body_is_empty(const struct kafka_api *api, int version)
{
	struct buf out;
	struct arena a;

	buf_init(&out);
	arena_init(&a);
	void *request = arena_take(&a, api->request->struct_bytes);
	schema_defaults(api->request, request);
	schema_encode(api->request, version, request, &out);
	bool is_empty = out.size == 0;
	buf_done(&out);
	arena_done(&a);
	return is_empty;
}

/* Produce advertises versions that it refuses. */
static int16_t unserved_first(const struct matrix_api *api, const struct kafka_api *spoken)
{
	return api->first < spoken->version_first ? api->first
						  : (int16_t)(spoken->version_first - 1);
}

size_t common_rows(const struct matrix_api *api, struct matrix_row *ret)
{
	const struct kafka_api *spoken = kafka_api_find(api->key);
	int16_t first = spoken->version_first;
	size_t count = 0;

	while (first < api->last && body_is_empty(spoken, first))
		first++;
	ret[count++] =
		(struct matrix_row) { OUTCOME_CLOSED, first, api->last,
				      "a body that is cut short ends the connection", cut_body };
	if (api->key == KAFKA_API_API_VERSIONS)
		return count;
	if (spoken->version_first > 0)
		ret[count++] =
			(struct matrix_row) { OUTCOME_CLOSED, unserved_first(api, spoken),
					      (int16_t)(spoken->version_first - 1),
					      "a version that is not served ends the connection",
					      unserved_version };
	ret[count++] = (struct matrix_row) { OUTCOME_CLOSED, (int16_t)(api->last + 1),
					     (int16_t)(api->last + 1),
					     "a version that is not served ends the connection",
					     unserved_version };
	return count;
}

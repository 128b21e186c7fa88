#include "cli/kafka_client.h"

#include <assert.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/endian.h"
#include "wire/crypto/wipe.h"
#include "wire/sasl/plain.h"

enum {
	LENGTH_BYTES = 4,
	CORRELATION_BYTES = 4,
	SECRET_REQUEST_BYTES = BEARER_BYTES_MAX + 1024, /* of any request with a secret in it */
};

static enum err no_kafka(struct kafka_client *c, const char *what)
{
	snprintf(c->why, sizeof(c->why), "that is not Kafka's protocol: %s", what);
	return ERR_INVALID;
}

/* The answer without its length. */
static enum err receive_answer(struct arena *a, struct kafka_client *c, uint64_t deadline_ms,
			       struct slice *ret)
{
	uint8_t head[LENGTH_BYTES];

	enum err err = secure_socket_receive(&c->socket, head, sizeof(head), deadline_ms, c->why);
	if (err)
		return err;
	size_t size = get_u32(head);
	if (size < CORRELATION_BYTES || size > KAFKA_CLIENT_ANSWER_BYTES_MAX)
		return no_kafka(c, "the length of the answer is absurd");
	uint8_t *data = arena_take(a, size);
	err = secure_socket_receive(&c->socket, data, size, deadline_ms, c->why);
	if (!err)
		*ret = (struct slice) { data, size };
	return err;
}

static enum err decode_answer(struct arena *a, struct kafka_client *c, const struct kafka_api *api,
			      int version, struct slice answer, void *ret)
{
	if ((int32_t)get_u32(answer.data) != c->correlation_id)
		return no_kafka(c, "the answer is to another request");
	answer = slice_part(answer, CORRELATION_BYTES, answer.size);
	bool has_tags = version >= api->flexible_first && api->key != KAFKA_API_API_VERSIONS;
	if (has_tags && schema_tags_skip(&answer))
		return no_kafka(c, "the header of the answer cannot be read");
	if (schema_decode_all(a, api->response, version, answer, ret))
		return no_kafka(c, "the answer cannot be read");
	return OK;
}

enum err kafka_client_call(struct arena *a, struct kafka_client *c, enum kafka_api_key key,
			   int version, const void *request, void *ret)
{
	const struct kafka_api *api = kafka_api_find((int16_t)key);
	uint64_t deadline_ms = clock_now_ms() + c->timeout_ms;
	struct slice answer;
	struct buf out;

	assert(api && schema_has_version(api->request, version));
	buf_init(&out);
	if (key == KAFKA_API_SASL_AUTHENTICATE)
		buf_reserve(&out, SECRET_REQUEST_BYTES); /* it never moves, so one wipe is all */
	buf_add_zero(&out, LENGTH_BYTES);
	kafka_request_header_encode(
		&(struct kafka_request_header) {
			.api_key = (int16_t)key,
			.api_version = (int16_t)version,
			.correlation_id = ++c->correlation_id,
			.client_id = SLICE("hanse"),
		},
		&out);
	schema_encode(api->request, version, request, &out);
	put_u32(out.data, (uint32_t)(out.size - LENGTH_BYTES));
	enum err err = secure_socket_send(&c->socket, buf_slice(&out), deadline_ms, c->why);
	if (key == KAFKA_API_SASL_AUTHENTICATE)
		crypto_wipe(out.data, out.size);
	buf_done(&out);
	if (!err)
		err = receive_answer(a, c, deadline_ms, &answer);
	if (err)
		return err == ERR_INVALID || err == ERR_DENIED ? err : ERR_UNKNOWN;
	return decode_answer(a, c, api, version, answer, ret);
}

/* Version 0 is the one that every broker can read. */
static enum err ask_versions(struct kafka_client *c)
{
	struct kafka_api_versions_request request = { 0 };
	struct kafka_api_versions_response response;
	struct arena a;

	arena_init(&a);
	enum err err = kafka_client_call(&a, c, KAFKA_API_API_VERSIONS, 0, &request, &response);
	if (!err && response.error_code != 0)
		err = no_kafka(c, "it does not tell its versions");
	for (size_t i = 0; !err && i < response.api_keys_count; i++) {
		int16_t key = response.api_keys[i].api_key;
		if (key < 0 || key >= KAFKA_CLIENT_KEYS_MAX)
			continue;
		c->versions[key].first = response.api_keys[i].min_version;
		c->versions[key].last = response.api_keys[i].max_version;
	}
	arena_done(&a);
	return err;
}

enum err kafka_client_open(struct kafka_client *c, const char *host, uint16_t port,
			   struct tls_identity *identity, uint64_t timeout_ms)
{
	*c = (struct kafka_client) {
		.socket.fd = -1,
		.timeout_ms = timeout_ms ? timeout_ms : KAFKA_CLIENT_TIMEOUT_MS,
	};
	for (int key = 0; key < KAFKA_CLIENT_KEYS_MAX; key++)
		c->versions[key].last = -1;
	enum err err = secure_socket_open(&c->socket, host, port, identity,
					  clock_now_ms() + c->timeout_ms, c->why);
	if (err)
		return err;
	err = ask_versions(c);
	return err == ERR_UNKNOWN ? ERR_UNAVAILABLE : err; /* nothing was asked for yet */
}

void kafka_client_close(struct kafka_client *c)
{
	secure_socket_close(&c->socket);
}

int kafka_client_version(const struct kafka_client *c, enum kafka_api_key key, int version_max)
{
	const struct kafka_api *api = kafka_api_find((int16_t)key);
	int first = c->versions[key].first, last = c->versions[key].last;

	assert(api && (int)key < KAFKA_CLIENT_KEYS_MAX);
	if (first < api->version_first)
		first = api->version_first;
	if (last > api->version_last)
		last = api->version_last;
	if (last > version_max)
		last = version_max;
	return last >= first ? last : -1;
}

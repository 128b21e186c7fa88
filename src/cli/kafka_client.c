#include "cli/kafka_client.h"

#include <assert.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/endian.h"
#include "base/random.h"
#include "wire/kafka/errors.h"
#include "wire/sasl/scram.h"

enum { LENGTH_BYTES = 4, CORRELATION_BYTES = 4 };

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

/* --- signing in -------------------------------------------------------------------------------
 */

static enum err begin_sasl(struct arena *a, struct kafka_client *c)
{
	struct kafka_sasl_handshake_request request = { .mechanism = SLICE("SCRAM-SHA-256") };
	struct kafka_sasl_handshake_response response;

	if (kafka_client_version(c, KAFKA_API_SASL_HANDSHAKE, 1) < 1 ||
	    kafka_client_version(c, KAFKA_API_SASL_AUTHENTICATE, 0) < 0) {
		snprintf(c->why, sizeof(c->why), "nobody can sign in there");
		return ERR_UNSUPPORTED;
	}
	enum err err = kafka_client_call(a, c, KAFKA_API_SASL_HANDSHAKE, 1, &request, &response);
	if (!err && response.error_code) {
		snprintf(c->why, sizeof(c->why), "it does not offer SCRAM-SHA-256");
		err = ERR_UNSUPPORTED;
	}
	return err;
}

static enum err send_token(struct arena *a, struct kafka_client *c, const struct buf *token,
			   struct slice *ret)
{
	struct kafka_sasl_authenticate_request request = { .auth_bytes = buf_slice(token) };
	struct kafka_sasl_authenticate_response response;
	enum err err = kafka_client_call(a, c, KAFKA_API_SASL_AUTHENTICATE, 0, &request, &response);

	if (!err && response.error_code) {
		snprintf(c->why, sizeof(c->why),
			 "there is no such user, or that is not its"
			 " password");
		err = ERR_DENIED;
	}
	if (!err)
		*ret = response.auth_bytes;
	return err;
}

static enum err exchange(struct arena *a, struct kafka_client *c, struct slice user,
			 struct slice password, struct buf *first, struct buf *second)
{
	uint8_t random[SCRAM_RANDOM_BYTES], signature[SCRAM_BYTES_MAX];
	struct slice challenge, last;

	random_bytes(random, sizeof(random));
	scram_begin(user, random, first);
	enum err err = begin_sasl(a, c);
	if (!err)
		err = send_token(a, c, first, &challenge);
	if (!err)
		err = scram_respond(a, SCRAM_SHA_256, password, buf_slice(first), challenge, second,
				    signature);
	if (!err)
		err = send_token(a, c, second, &last);
	if (!err && scram_check_server(a, SCRAM_SHA_256, signature, last)) {
		snprintf(c->why, sizeof(c->why),
			 "it does not know the user: somebody else"
			 " answers there");
		err = ERR_DENIED;
	}
	return err;
}

enum err kafka_client_sign_in(struct kafka_client *c, struct slice user, struct slice password)
{
	struct buf first, second;
	struct arena a;

	arena_init(&a);
	buf_init(&first);
	buf_init(&second);
	enum err err = exchange(&a, c, user, password, &first, &second);
	buf_done(&first);
	buf_done(&second);
	arena_done(&a);
	return err;
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

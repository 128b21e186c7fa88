#include "cli/kafka_sign_in.h"

#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/random.h"
#include "wire/crypto/wipe.h"
#include "wire/endpoint.h"
#include "wire/sasl/plain.h"
#include "wire/sasl/scram.h"

enum {
	SESSION_USED_PERCENT = 85, /* of its time; Kafka's clients wait for 85 to 95 */
	BEARER_NO = 1,		   /* what a client says to an answer of why not (RFC 7628) */
};

static const char *const mechanism_names[SIGN_IN_MECHANISMS] = {
	[SIGN_IN_NONE] = "none",
	[SIGN_IN_PLAIN] = "PLAIN",
	[SIGN_IN_SCRAM_SHA_256] = "SCRAM-SHA-256",
	[SIGN_IN_SCRAM_SHA_512] = "SCRAM-SHA-512",
	[SIGN_IN_OAUTHBEARER] = "OAUTHBEARER",
};

const char *sign_in_mechanism_name(enum sign_in_mechanism mechanism)
{
	return mechanism_names[mechanism];
}

enum err sign_in_mechanism_find(const char *name, enum sign_in_mechanism *ret)
{
	for (int i = SIGN_IN_NONE + 1; i < SIGN_IN_MECHANISMS; i++)
		if (strcmp(name, mechanism_names[i]) == 0) {
			*ret = (enum sign_in_mechanism)i;
			return OK;
		}
	return ERR_NOT_FOUND;
}

static enum err fail(struct kafka_client *c, enum err err, const char *text)
{
	snprintf(c->why, sizeof(c->why), "%s", text);
	return err;
}

/* --- the two requests -------------------------------------------------------------------------
 */

static enum err say_what_is_offered(struct arena *a, struct kafka_client *c, const char *wanted,
				    const struct kafka_sasl_handshake_response *response)
{
	const char *all = "";

	for (size_t i = 0; i < response->mechanisms_count && strlen(all) < sizeof(c->why); i++)
		all = arena_format(a, "%s%s%.*s", all, i > 0 ? ", " : "",
				   SLICE_ARG(response->mechanisms[i]));
	snprintf(c->why, sizeof(c->why), "it does not offer %s%s%s", wanted,
		 all[0] ? "; --mechanism takes one of " : "", all);
	return ERR_UNSUPPORTED;
}

static enum err begin(struct arena *a, struct kafka_client *c, enum sign_in_mechanism mechanism)
{
	const char *name = sign_in_mechanism_name(mechanism);
	struct kafka_sasl_handshake_request request = { .mechanism = slice_from(name) };
	struct kafka_sasl_handshake_response response;

	if (kafka_client_version(c, KAFKA_API_SASL_HANDSHAKE, 1) < 1 ||
	    kafka_client_version(c, KAFKA_API_SASL_AUTHENTICATE, INT16_MAX) < 0)
		return fail(c, ERR_UNSUPPORTED, "nobody can sign in there");
	enum err err = kafka_client_call(a, c, KAFKA_API_SASL_HANDSHAKE, 1, &request, &response);
	if (!err && response.error_code)
		err = say_what_is_offered(a, c, name, &response);
	return err;
}

static void begin_session(struct kafka_client *c, int64_t lifetime_ms)
{
	uint64_t used_ms = 0;

	if (lifetime_ms > 0 && lifetime_ms <= INT64_MAX / 100)
		used_ms = (uint64_t)lifetime_ms * SESSION_USED_PERCENT / 100;
	c->session_ends_ms = used_ms ? clock_now_ms() + used_ms : 0;
}

static enum err send_token(struct arena *a, struct kafka_client *c, const struct buf *token,
			   struct slice *ret)
{
	struct kafka_sasl_authenticate_request request = { .auth_bytes = buf_slice(token) };
	struct kafka_sasl_authenticate_response response = { 0 };
	int version = kafka_client_version(c, KAFKA_API_SASL_AUTHENTICATE, INT16_MAX);

	enum err err =
		kafka_client_call(a, c, KAFKA_API_SASL_AUTHENTICATE, version, &request, &response);
	if (!err && response.error_code)
		return fail(c, ERR_DENIED, "there is no such user, or that is not its password");
	if (!err) {
		begin_session(c, response.session_lifetime_ms);
		*ret = response.auth_bytes;
	}
	return err;
}

/* --- the mechanisms ---------------------------------------------------------------------------
 */

struct messages {
	struct buf first, second;
};

static enum err sign_in_plain(struct arena *a, struct kafka_client *c,
			      const struct sign_in_identity *i, struct messages *m)
{
	struct slice empty;

	if (plain_write(i->user, i->secret, &m->first))
		return fail(c, ERR_INVALID, "PLAIN has no such names or passwords");
	enum err err = begin(a, c, i->mechanism);
	return err ? err : send_token(a, c, &m->first, &empty);
}

static enum err sign_in_scram(struct arena *a, struct kafka_client *c,
			      const struct sign_in_identity *i, struct messages *m)
{
	enum scram_hash hash =
		i->mechanism == SIGN_IN_SCRAM_SHA_512 ? SCRAM_SHA_512 : SCRAM_SHA_256;
	uint8_t random[SCRAM_RANDOM_BYTES], signature[SCRAM_BYTES_MAX];
	struct slice challenge, last;

	random_bytes(random, sizeof(random));
	scram_begin(i->user, random, &m->first);
	enum err err = begin(a, c, i->mechanism);
	if (!err)
		err = send_token(a, c, &m->first, &challenge);
	if (!err)
		err = scram_respond(a, hash, i->secret, buf_slice(&m->first), challenge, &m->second,
				    signature)
			      ? fail(c, ERR_INVALID, "that is no answer of SCRAM")
			      : OK;
	if (!err)
		err = send_token(a, c, &m->second, &last);
	if (!err && scram_check_server(a, hash, signature, last))
		err = fail(c, ERR_DENIED, "it does not know the user: somebody else answers there");
	return err;
}

/* A server may say why not, in JSON, and waits for one byte before it refuses. */
static enum err sign_in_bearer(struct arena *a, struct kafka_client *c,
			       const struct sign_in_identity *i, struct messages *m)
{
	struct slice answer, nothing;

	if (bearer_write(i->secret, &m->first))
		return fail(c, ERR_INVALID, "that is no token");
	enum err err = begin(a, c, i->mechanism);
	if (!err)
		err = send_token(a, c, &m->first, &answer);
	if (err == ERR_DENIED)
		return fail(c, err, "it does not believe that token");
	if (err || answer.size == 0)
		return err;
	buf_add_u8(&m->second, BEARER_NO);
	(void)!send_token(a, c, &m->second, &nothing);
	c->session_ends_ms = 0;
	snprintf(c->why, sizeof(c->why), "it does not believe that token: %.*s", SLICE_ARG(answer));
	return ERR_DENIED;
}

/* --- for callers ------------------------------------------------------------------------------
 */

static bool is_to_this_machine(int fd)
{
	union {
		struct sockaddr_storage any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} peer;
	socklen_t size = sizeof(peer);
	struct endpoint e = { 0 };

	if (getpeername(fd, (struct sockaddr *)&peer, &size) < 0)
		return false;
	if (peer.any.ss_family == AF_INET) {
		const uint8_t *ip = (const uint8_t *)&peer.in.sin_addr;
		e = endpoint_ip4(ip[0], ip[1], ip[2], ip[3], 0);
	} else if (peer.any.ss_family == AF_INET6) {
		memcpy(e.ip, &peer.in6.sin6_addr, sizeof(e.ip));
	}
	return endpoint_is_loopback(&e);
}

static bool sends_secret(enum sign_in_mechanism mechanism)
{
	return mechanism == SIGN_IN_PLAIN || mechanism == SIGN_IN_OAUTHBEARER;
}

static enum err exchange(struct arena *a, struct kafka_client *c, const struct sign_in_identity *i,
			 struct messages *m)
{
	if (i->mechanism == SIGN_IN_PLAIN)
		return sign_in_plain(a, c, i, m);
	if (i->mechanism == SIGN_IN_OAUTHBEARER)
		return sign_in_bearer(a, c, i, m);
	return sign_in_scram(a, c, i, m);
}

static void wipe(struct buf *b)
{
	if (b->data)
		crypto_wipe(b->data, b->capacity);
	buf_done(b);
}

enum err kafka_client_sign_in(struct kafka_client *c, const struct sign_in_identity *identity)
{
	struct messages m;
	struct arena a;

	assert(identity->mechanism != SIGN_IN_NONE);
	if (sends_secret(identity->mechanism) && !c->socket.tls && !identity->may_be_in_the_clear &&
	    !is_to_this_machine(c->socket.fd)) {
		snprintf(c->why, sizeof(c->why),
			 "%s would send the secret in the clear: --ca FILE for TLS, or "
			 "--cleartext if nobody can listen",
			 sign_in_mechanism_name(identity->mechanism));
		return ERR_DENIED;
	}
	arena_init(&a);
	buf_init(&m.first);
	buf_init(&m.second);
	buf_reserve(&m.first, identity->secret.size + identity->user.size + 100); /* never moves */
	enum err err = exchange(&a, c, identity, &m);
	wipe(&m.first);
	wipe(&m.second);
	arena_done(&a);
	return err;
}

bool kafka_client_session_ends(const struct kafka_client *c)
{
	return c->session_ends_ms && clock_now_ms() >= c->session_ends_ms;
}

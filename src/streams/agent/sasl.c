/* SaslHandshake and SaslAuthenticate (KIP-43, KIP-152, KIP-368): see sign_in.h. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "kafka_messages.h"
#include "loop/timer.h"
#include "loop/worker.h"
#include "streams/agent/audit.h"
#include "streams/agent/connection.h"
#include "streams/agent/operations.h"
#include "streams/agent/sign_in.h"
#include "wire/crypto/wipe.h"
#include "wire/kafka/errors.h"
#include "wire/sasl/jwt.h"
#include "wire/sasl/plain.h"

/* --- SaslHandshake ----------------------------------------------------------------------------
 */

static bool is_offered(const struct request *r, enum sasl_mechanism mechanism)
{
	if (mechanism == SASL_OAUTHBEARER && !r->agent->config.token_keys)
		return false;
	if (mechanism == SASL_PLAIN || mechanism == SASL_OAUTHBEARER)
		return connection_is_private(r->connection);
	return mechanism == SASL_SCRAM_SHA_256 || mechanism == SASL_SCRAM_SHA_512;
}

static enum sasl_mechanism find_mechanism(const struct request *r, struct slice name)
{
	for (int i = SASL_NONE + 1; i < SASL_MECHANISMS; i++) {
		enum sasl_mechanism mechanism = (enum sasl_mechanism)i;
		if (is_offered(r, mechanism) &&
		    slice_equal(name, slice_from(sasl_mechanism_name(mechanism))))
			return mechanism;
	}
	return SASL_NONE;
}

static enum step sasl_handshake_step(struct request *r)
{
	struct sign_in *s = connection_sign_in(r->connection);
	const struct kafka_sasl_handshake_request *request = request_decode(r);
	struct kafka_sasl_handshake_response response;

	if (!request)
		return request_refuse(r, "SaslHandshake cannot be decoded");
	schema_defaults(r->api->response, &response);
	response.mechanisms =
		arena_take_array(&r->arena, SASL_MECHANISMS, sizeof(*response.mechanisms));
	for (int i = SASL_NONE + 1; i < SASL_MECHANISMS; i++)
		if (is_offered(r, (enum sasl_mechanism)i))
			response.mechanisms[response.mechanisms_count++] =
				slice_from(sasl_mechanism_name((enum sasl_mechanism)i));
	enum sasl_mechanism found = find_mechanism(r, request->mechanism);
	if (s->mechanism != SASL_NONE) {
		response.error_code = KAFKA_ILLEGAL_SASL_STATE;
	} else if (found == SASL_NONE) {
		response.error_code = KAFKA_UNSUPPORTED_SASL_MECHANISM;
	} else {
		s->mechanism = found;
		s->is_raw = r->header.api_version == 0;
	}
	r->closes = response.error_code != 0;
	return request_answer(r, &response);
}

const struct operation sasl_handshake_operation = {
	.api_key = KAFKA_API_SASL_HANDSHAKE,
	.step = sasl_handshake_step,
};

/* --- SaslAuthenticate -------------------------------------------------------------------------
 */

struct authenticate {
	struct slice token, answer;
	struct buf out;
	struct worker_job job;
	struct sleep sleep;
	struct slice password; /* of PLAIN */
	struct scram_verifier verifier;
	bool fits;
	const char *why; /* it failed: for the client */
};

enum { AUTHENTICATE_START, AUTHENTICATE_CHECKED, AUTHENTICATE_DELAYED };

static struct sign_in *sign_in_of(const struct request *r)
{
	return connection_sign_in(r->connection);
}

static enum step answer_token(struct request *r, struct slice token, int64_t lifetime_ms)
{
	struct kafka_sasl_authenticate_response response;

	if (!r->api)
		return request_answer_raw(r, token);
	schema_defaults(r->api->response, &response);
	response.auth_bytes = token;
	response.session_lifetime_ms = lifetime_ms;
	return request_answer(r, &response);
}

static enum step fail(struct request *r, struct authenticate *x, const char *why)
{
	struct sign_in *s = sign_in_of(r);

	audit_refused_sign_in(r->agent->audit, slice_from(request_client_host(r)),
			      sasl_mechanism_name(s->mechanism));
	log_warn("%s could not sign in with %s: %s", request_client_host(r),
		 sasl_mechanism_name(s->mechanism), why);
	x->why = arena_format(&r->arena,
			      "Authentication failed during authentication due to invalid "
			      "credentials with SASL mechanism %s",
			      sasl_mechanism_name(s->mechanism));
	sleep_start(&x->sleep, &r->task, loop_now_ms(r->agent->loop) + SIGN_IN_FAILED_MS);
	return task_wait(&r->task, AUTHENTICATE_DELAYED);
}

static enum step answer_failure(struct request *r, const struct authenticate *x, int16_t code)
{
	struct kafka_sasl_authenticate_response response;

	if (!r->api)
		return request_drop(r, true);
	schema_defaults(r->api->response, &response);
	response.error_code = code;
	response.error_message = slice_from(x->why);
	response.auth_bytes = SLICE("");
	r->closes = true;
	return request_answer(r, &response);
}

/* --- the end of an exchange -------------------------------------------------------------------
 */

/* Whoever signs in again has to be the same, the same way. */
static bool may_become(const struct sign_in *s, const char *principal)
{
	return !s->principal[0] || s->used == SASL_NONE /* a certificate */ ||
	       (strcmp(s->principal, principal) == 0 && s->used == s->mechanism);
}

static int64_t begin_session(struct request *r, struct sign_in *s, int64_t expires_ms)
{
	uint64_t lifetime_ms = r->agent->config.session_ms;
	int64_t left_ms = expires_ms - clock_wall_ms();

	if (expires_ms && left_ms < 1)
		left_ms = 1;
	if (expires_ms && (!lifetime_ms || (uint64_t)left_ms < lifetime_ms))
		lifetime_ms = (uint64_t)left_ms;

	s->until_ms = lifetime_ms ? loop_now_ms(r->agent->loop) + lifetime_ms : 0;
	return (int64_t)lifetime_ms;
}

struct known {
	struct slice name;
	int64_t row;	    /* of a user; 0: known by a token */
	int64_t expires_ms; /* Unix time; 0: never */
};

static enum step succeed(struct request *r, struct authenticate *x, struct known user,
			 struct slice token)
{
	struct sign_in *s = sign_in_of(r);
	const char *principal = arena_format(&r->arena, "User:%.*s", SLICE_ARG(user.name));

	if (strlen(principal) > GRANT_PRINCIPAL_BYTES_MAX || !may_become(s, principal))
		return fail(r, x, "who signs in again must be the same as before");
	memcpy(s->principal, principal, strlen(principal) + 1);
	s->user = user.row;
	s->used = s->mechanism;
	token = arena_copy(&r->arena, token);
	sign_in_forget(s);
	log_debug("%s signed in as %s", request_client_host(r), s->principal);
	return answer_token(r, token, begin_session(r, s, user.expires_ms));
}

/* --- users ------------------------------------------------------------------------------------
 */

static void copy_verifier(const struct guard_verifier *found, struct scram_verifier *ret)
{
	*ret = (struct scram_verifier) {
		.hash = (enum scram_hash)found->kind,
		.iterations = found->iterations,
		.salt_bytes = found->salt.size,
	};
	memcpy(ret->salt, found->salt.data, found->salt.size);
	memcpy(ret->stored_key, found->stored_key.data, found->stored_key.size);
	memcpy(ret->server_key, found->server_key.data, found->server_key.size);
}

static bool is_sound(const struct guard_verifier *v)
{
	size_t size = scram_hash_bytes((enum scram_hash)v->kind);

	return v->salt.size > 0 && v->salt.size <= SCRAM_SALT_BYTES_MAX &&
	       v->stored_key.size == size && v->server_key.size == size &&
	       v->iterations >= SCRAM_ITERATIONS_MIN && v->iterations <= SCRAM_ITERATIONS_MAX;
}

/* Of a user that is there, or something that looks like it; false. */
static bool find_verifier(struct request *r, struct slice user, enum scram_kind kind)
{
	struct sign_in *s = sign_in_of(r);
	struct cell *cell = replica_cell(r->agent->replica);
	uint8_t secret[GUARD_SECRET_BYTES] = { 0 };
	struct guard_verifier found;

	s->is_known = cell && guard_find_verifier(&r->arena, cell, user, kind, &found) == OK &&
		      is_sound(&found);
	if (s->is_known) {
		copy_verifier(&found, &s->verifier);
		s->found = found.user;
		s->found.name = arena_copy(&s->arena, found.user.name);
		return true;
	}
	if (!cell || guard_secret(cell, secret))
		random_bytes(secret, sizeof(secret));
	scram_fake((enum scram_hash)kind, (struct slice) { secret, sizeof(secret) }, user,
		   &s->verifier);
	crypto_wipe(secret, sizeof(secret));
	return false;
}

/* --- PLAIN ------------------------------------------------------------------------------------
 */

static enum err check_password_work(struct worker_job *job)
{
	struct authenticate *x = CONTAINER(job, struct authenticate, job);

	x->fits = scram_password_fits(&x->verifier, x->password);
	return OK;
}

static enum step start_plain(struct request *r, struct authenticate *x)
{
	struct sign_in *s = sign_in_of(r);
	struct slice user;

	if (plain_read(x->token, &user, &x->password))
		return fail(r, x, "that is no message of PLAIN");
	if (!find_verifier(r, user, SCRAM_KIND_SHA_512))
		(void)find_verifier(r, user, SCRAM_KIND_SHA_256);
	x->verifier = s->verifier;
	worker_start(&x->job, &r->task, check_password_work);
	return task_wait(&r->task, AUTHENTICATE_CHECKED);
}

static enum step finish_plain(struct request *r, struct authenticate *x)
{
	struct sign_in *s = sign_in_of(r);

	if (x->job.task.err || !x->fits || !s->is_known)
		return fail(r, x, "there is no such user, or that is not its password");
	return succeed(r, x, (struct known) { s->found.name, s->found.id, 0 }, SLICE(""));
}

/* --- SCRAM ------------------------------------------------------------------------------------
 */

static enum step challenge(struct request *r, struct authenticate *x)
{
	struct sign_in *s = sign_in_of(r);
	uint8_t random[SCRAM_RANDOM_BYTES];

	if (scram_read_first(&s->arena, arena_copy(&s->arena, x->token), &s->first))
		return fail(r, x, "that is no first message of SCRAM");
	(void)find_verifier(r, s->first.user,
			    s->mechanism == SASL_SCRAM_SHA_512 ? SCRAM_KIND_SHA_512
							       : SCRAM_KIND_SHA_256);
	random_bytes(random, sizeof(random));
	scram_challenge(&s->first, &s->verifier, random, &x->out);
	s->challenge = arena_copy(&s->arena, buf_slice(&x->out));
	s->is_challenged = true;
	return answer_token(r, s->challenge, 0);
}

static enum step finish_scram(struct request *r, struct authenticate *x)
{
	struct sign_in *s = sign_in_of(r);

	enum err err =
		scram_finish(&r->arena, &s->first, s->challenge, &s->verifier, x->token, &x->out);
	if (err || !s->is_known)
		return fail(r, x, "there is no such user, or that is not its password");
	return succeed(r, x, (struct known) { s->found.name, s->found.id, 0 }, buf_slice(&x->out));
}

/* --- OAUTHBEARER ------------------------------------------------------------------------------
 */

static enum step check_token(struct request *r, struct authenticate *x)
{
	const struct agent_config *c = &r->agent->config;
	struct jwt_rules rules = {
		.issuer = slice_from(c->token_issuer),
		.audience = slice_from(c->token_audience),
		.now_s = clock_wall_ms() / 1000,
	};
	const char *why = "no keys are known any more";
	struct slice token;
	struct jwt jwt;

	if (bearer_read(x->token, &token))
		return fail(r, x, "that is no message of OAUTHBEARER");
	if (!c->token_keys || jwt_check(&r->arena, c->token_keys, token, &rules, &jwt, &why))
		return fail(r, x, why);
	int64_t expires_ms = (jwt.expires_s + JWT_SKEW_S) * 1000;
	return succeed(r, x, (struct known) { jwt.subject, 0, expires_ms }, SLICE(""));
}

/* --- the operations ---------------------------------------------------------------------------
 */

static enum step start(struct request *r, struct authenticate *x)
{
	struct sign_in *s = sign_in_of(r);

	switch (s->mechanism) {
	case SASL_PLAIN:
		return start_plain(r, x);
	case SASL_SCRAM_SHA_256:
	case SASL_SCRAM_SHA_512:
		return s->is_challenged ? finish_scram(r, x) : challenge(r, x);
	case SASL_OAUTHBEARER:
		return check_token(r, x);
	case SASL_NONE:
	case SASL_MECHANISMS:
		break;
	}
	x->why = "SaslHandshake comes first";
	return answer_failure(r, x, KAFKA_ILLEGAL_SASL_STATE);
}

static enum step go_on(struct request *r, struct authenticate *x)
{
	if (r->task.children > 0)
		return task_wait(&r->task, r->task.at);
	if (r->task.at == AUTHENTICATE_CHECKED)
		return finish_plain(r, x);
	return answer_failure(r, x, KAFKA_SASL_AUTHENTICATION_FAILED);
}

static enum step sasl_authenticate_step(struct request *r)
{
	struct authenticate *x = r->state;

	if (r->task.at != AUTHENTICATE_START)
		return go_on(r, x);
	const struct kafka_sasl_authenticate_request *request = request_decode(r);
	if (!request)
		return request_refuse(r, "SaslAuthenticate cannot be decoded");
	x->token = request->auth_bytes;
	return start(r, x);
}

/* A token that is all of the request: after SaslHandshake v0. */
static enum step sasl_raw_step(struct request *r)
{
	struct authenticate *x = r->state;

	if (r->task.at != AUTHENTICATE_START)
		return go_on(r, x);
	x->token = r->body;
	return start(r, x);
}

/* The request has the password or a token in it. */
static void sasl_release(struct request *r)
{
	struct authenticate *x = r->state;

	buf_done(&x->out);
	crypto_wipe(&x->verifier, sizeof(x->verifier));
	crypto_wipe(r->bytes->data, r->bytes->size);
}

static const char *const sasl_places[] = { "start", "checked", "delayed" };
const struct operation sasl_authenticate_operation = {
	.api_key = KAFKA_API_SASL_AUTHENTICATE,
	.state_bytes = sizeof(struct authenticate),
	.places = sasl_places,
	.place_count = 3,
	.step = sasl_authenticate_step,
	.release = sasl_release,
};
const struct operation sasl_raw_operation = {
	.api_key = -1,
	.state_bytes = sizeof(struct authenticate),
	.places = sasl_places,
	.place_count = 3,
	.step = sasl_raw_step,
	.release = sasl_release,
};

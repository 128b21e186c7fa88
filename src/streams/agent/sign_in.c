#include "streams/agent/sign_in.h"

#include "kafka_messages.h"
#include "streams/agent/agent.h"
#include "wire/crypto/wipe.h"

void sign_in_init(struct sign_in *s)
{
	*s = (struct sign_in) { 0 };
	arena_init(&s->arena);
}

void sign_in_forget(struct sign_in *s)
{
	arena_reset(&s->arena);
	s->mechanism = SASL_NONE;
	s->is_challenged = s->is_known = s->is_raw = false;
	s->first = (struct scram_first) { 0 };
	s->challenge = (struct slice) { 0 };
	crypto_wipe(&s->verifier, sizeof(s->verifier));
}

void sign_in_done(struct sign_in *s)
{
	sign_in_forget(s);
	arena_done(&s->arena);
}

const char *sasl_mechanism_name(enum sasl_mechanism mechanism)
{
	static const char *const names[SASL_MECHANISMS] = {
		[SASL_NONE] = "none",
		[SASL_PLAIN] = "PLAIN",
		[SASL_SCRAM_SHA_256] = "SCRAM-SHA-256",
		[SASL_SCRAM_SHA_512] = "SCRAM-SHA-512",
		[SASL_OAUTHBEARER] = "OAUTHBEARER",
	};

	return names[mechanism];
}

bool sign_in_is_needed(struct agent *agent, const struct sign_in *s)
{
	if (s->principal[0])
		return false;
	return agent_guard(agent)->has_users || agent->config.needs_sign_in;
}

static bool is_about_sign_in(int16_t api_key)
{
	return api_key == KAFKA_API_API_VERSIONS || api_key == KAFKA_API_SASL_HANDSHAKE ||
	       api_key == KAFKA_API_SASL_AUTHENTICATE;
}

bool sign_in_admits(struct agent *agent, struct sign_in *s, int16_t api_key, const char **ret_why)
{
	if (is_about_sign_in(api_key))
		return true;
	if (sign_in_is_needed(agent, s)) {
		*ret_why = "it has to sign in first";
		return false;
	}
	if (s->until_ms && loop_now_ms(agent->loop) >= s->until_ms) {
		*ret_why = "its session is over, and it did not sign in again";
		return false;
	}
	s->was_nobody |= s->principal[0] == '\0';
	return true;
}

bool sign_in_still_holds(struct agent *agent, const struct sign_in *s)
{
	struct cell *cell = replica_cell(agent->replica);
	struct guard_user user;
	struct arena a;

	if (!s->principal[0])
		return !s->was_nobody || !sign_in_is_needed(agent, s);
	if (!s->user || !cell)
		return true;
	arena_init(&a);
	struct slice name = slice_from(s->principal + strlen("User:"));
	bool holds = guard_find_user(&a, cell, name, &user) == OK && user.id == s->user;
	arena_done(&a);
	return holds;
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>

#include "base/clock.h"
#include "cli/kafka_sign_in.h"
#include "cli/server_testing.h"
#include "wire/kafka/errors.h"

enum { FAR_MS = 600000 };

static const struct kafka_sasl_handshake_response begun = { 0 };
static const struct kafka_sasl_authenticate_response believed = { .session_lifetime_ms = FAR_MS };
static const struct kafka_sasl_authenticate_response refused = {
	.error_code = KAFKA_SASL_AUTHENTICATION_FAILED
};

/* A connection that is neither TLS nor to this machine by its address. */
struct elsewhere {
	struct kafka_client client;
	struct test_broker broker;
	pid_t process;
	int seen; /* what came from the client, once the broker has ended */
};

static void serve_and_tell(int fd, const struct test_broker *broker, int seen)
{
	uint8_t request[65536], head[4];
	size_t answered = 0;

	while (test_read_all(fd, head, sizeof(head))) {
		struct slice in = { request, get_u32(head) };
		struct kafka_request_header header;
		if (!test_read_all(fd, request, in.size))
			return;
		assert(write(seen, request, in.size) == (ssize_t)in.size);
		if (kafka_request_header_decode(&in, &header) ||
		    answered == broker->answers_count ||
		    (int)broker->answers[answered].key != header.api_key)
			return;
		test_answer_write(fd, &header, broker->answers[answered++].message);
	}
}

static void elsewhere_open(struct elsewhere *e, const struct test_answer *answers, size_t count)
{
	int pair[2], pipe_of_seen[2];

	*e = (struct elsewhere) { .client.timeout_ms = 5000 };
	e->broker = (struct test_broker) { .answers = answers, .answers_count = count };
	e->client.versions[KAFKA_API_SASL_HANDSHAKE].last = 1;
	e->client.versions[KAFKA_API_SASL_AUTHENTICATE].last = 2;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(pipe(pipe_of_seen), 0);
	e->process = fork();
	assert_true(e->process >= 0);
	if (e->process == 0) {
		alarm(20);
		close(pair[0]);
		serve_and_tell(pair[1], &e->broker, pipe_of_seen[1]);
		_exit(0);
	}
	close(pair[1]);
	close(pipe_of_seen[1]);
	assert_int_equal(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0); /* as socket.c makes them */
	e->client.socket.fd = pair[0];
	e->seen = pipe_of_seen[0];
}

/* Was `text` sent? */
static bool elsewhere_close(struct elsewhere *e, const char *text)
{
	char all[65536];
	size_t size = 0;
	ssize_t got;

	kafka_client_close(&e->client);
	while ((got = read(e->seen, all + size, sizeof(all) - size)) > 0)
		size += (size_t)got;
	close(e->seen);
	waitpid(e->process, NULL, 0);
	return memmem(all, size, text, strlen(text)) != NULL;
}

static struct sign_in_identity alice(enum sign_in_mechanism mechanism)
{
	return (struct sign_in_identity) {
		.mechanism = mechanism,
		.may_be_in_the_clear = true,
		.user = SLICE("alice"),
		.secret = SLICE("secret"),
	};
}

static void test_a_secret_goes_elsewhere_in_the_clear_only_if_somebody_said_so(void **state)
{
	static const enum sign_in_mechanism mechanisms[] = { SIGN_IN_PLAIN, SIGN_IN_OAUTHBEARER };
	const struct test_answer answers[] = {
		{ KAFKA_API_SASL_HANDSHAKE, &begun },
		{ KAFKA_API_SASL_AUTHENTICATE, &believed },
	};
	struct elsewhere e;

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct sign_in_identity identity = alice(mechanisms[i]);
		identity.may_be_in_the_clear = false;
		elsewhere_open(&e, answers, 2);
		assert_int_equal(kafka_client_sign_in(&e.client, &identity), ERR_DENIED);
		assert_non_null(strstr(e.client.why, "--cleartext"));
		assert_false(elsewhere_close(&e, "hanse")); /* not even who asks */

		identity.may_be_in_the_clear = true;
		elsewhere_open(&e, answers, 2);
		assert_int_equal(kafka_client_sign_in(&e.client, &identity), OK);
		assert_false(kafka_client_session_ends(&e.client));
		assert_true(e.client.session_ends_ms > clock_now_ms() + FAR_MS / 2);
		assert_true(e.client.session_ends_ms < clock_now_ms() + FAR_MS);
		assert_true(elsewhere_close(&e, i == 0 ? "secret" : "n,,\1auth=Bearer secret\1\1"));
	}
}

static void test_scram_never_sends_the_password(void **state)
{
	const struct test_answer answers[] = {
		{ KAFKA_API_SASL_HANDSHAKE, &begun },
		{ KAFKA_API_SASL_AUTHENTICATE, &refused },
	};
	struct sign_in_identity identity = alice(SIGN_IN_SCRAM_SHA_512);
	struct elsewhere e;

	(void)state;
	identity.may_be_in_the_clear = false;
	elsewhere_open(&e, answers, 2);
	assert_int_equal(kafka_client_sign_in(&e.client, &identity), ERR_DENIED);
	assert_false(elsewhere_close(&e, "secret"));
}

static void test_what_is_not_offered_is_said_with_what_is(void **state)
{
	struct slice offered[] = { SLICE("PLAIN"), SLICE("GSSAPI") };
	struct kafka_sasl_handshake_response response = {
		.error_code = KAFKA_UNSUPPORTED_SASL_MECHANISM,
		.mechanisms = offered,
		.mechanisms_count = 2,
	};
	const struct test_answer answers[] = { { KAFKA_API_SASL_HANDSHAKE, &response } };
	struct sign_in_identity identity = alice(SIGN_IN_OAUTHBEARER);
	struct elsewhere e;

	(void)state;
	elsewhere_open(&e, answers, 1);
	assert_int_equal(kafka_client_sign_in(&e.client, &identity), ERR_UNSUPPORTED);
	assert_string_equal(e.client.why, "it does not offer OAUTHBEARER; --mechanism takes one of "
					  "PLAIN, GSSAPI");
	assert_false(elsewhere_close(&e, "secret"));
}

/* Apache Kafka says why not in JSON first, and refuses what the client says to that. */
static void test_a_token_that_is_not_believed_is_told_why(void **state)
{
	struct kafka_sasl_authenticate_response why_not = {
		.auth_bytes = SLICE("{\"status\":\"invalid_token\"}"),
	};
	const struct test_answer answers[] = {
		{ KAFKA_API_SASL_HANDSHAKE, &begun },
		{ KAFKA_API_SASL_AUTHENTICATE, &why_not },
		{ KAFKA_API_SASL_AUTHENTICATE, &refused },
	};
	struct sign_in_identity identity = alice(SIGN_IN_OAUTHBEARER);
	struct elsewhere e;

	(void)state;
	elsewhere_open(&e, answers, 3);
	assert_int_equal(kafka_client_sign_in(&e.client, &identity), ERR_DENIED);
	assert_string_equal(e.client.why, "it does not believe that token: "
					  "{\"status\":\"invalid_token\"}");
	assert_false(kafka_client_session_ends(&e.client));
	assert_true(elsewhere_close(&e, "secret"));
}

static void test_a_session_that_is_about_to_end_is_renewed(void **state)
{
	struct kafka_sasl_authenticate_response brief = { .session_lifetime_ms = 2 };
	const struct test_answer answers[] = {
		{ KAFKA_API_SASL_HANDSHAKE, &begun },
		{ KAFKA_API_SASL_AUTHENTICATE, &brief },
		{ KAFKA_API_SASL_HANDSHAKE, &begun },
		{ KAFKA_API_SASL_AUTHENTICATE, &believed },
	};
	struct sign_in_identity identity = alice(SIGN_IN_PLAIN);
	struct elsewhere e;

	(void)state;
	elsewhere_open(&e, answers, 4);
	assert_int_equal(kafka_client_sign_in(&e.client, &identity), OK);
	usleep(5000);
	assert_true(kafka_client_session_ends(&e.client));
	assert_int_equal(kafka_client_sign_in(&e.client, &identity), OK);
	assert_false(kafka_client_session_ends(&e.client));
	assert_true(elsewhere_close(&e, "secret"));
}

static void test_mechanisms_have_the_names_of_the_protocol(void **state)
{
	enum sign_in_mechanism found;

	(void)state;
	for (int i = SIGN_IN_NONE + 1; i < SIGN_IN_MECHANISMS; i++) {
		const char *name = sign_in_mechanism_name((enum sign_in_mechanism)i);
		assert_int_equal(sign_in_mechanism_find(name, &found), OK);
		assert_int_equal(found, i);
	}
	assert_int_equal(sign_in_mechanism_find("none", &found), ERR_NOT_FOUND);
	assert_int_equal(sign_in_mechanism_find("GSSAPI", &found), ERR_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_a_secret_goes_elsewhere_in_the_clear_only_if_somebody_said_so),
		cmocka_unit_test(test_scram_never_sends_the_password),
		cmocka_unit_test(test_what_is_not_offered_is_said_with_what_is),
		cmocka_unit_test(test_a_token_that_is_not_believed_is_told_why),
		cmocka_unit_test(test_a_session_that_is_about_to_end_is_renewed),
		cmocka_unit_test(test_mechanisms_have_the_names_of_the_protocol),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

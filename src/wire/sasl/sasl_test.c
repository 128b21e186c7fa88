#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "wire/sasl/base64.h"
#include "wire/sasl/plain.h"
#include "wire/sasl/scram.h"

static void assert_text(struct slice s, const char *text)
{
	assert_int_equal(s.size, strlen(text));
	assert_memory_equal(s.data, text, s.size);
}

/* --- base64 -----------------------------------------------------------------------------------
 */

static void test_base64_is_that_of_rfc_4648(void **state)
{
	static const char *const rows[][2] = {
		{ "", "" },
		{ "f", "Zg==" },
		{ "fo", "Zm8=" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" },
	};
	struct arena a;

	(void)state;
	arena_init(&a);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct slice back;
		struct buf out;

		buf_init(&out);
		base64_add(&out, slice_from(rows[i][0]));
		assert_text(buf_slice(&out), rows[i][1]);
		assert_int_equal(base64_decode(&a, buf_slice(&out), &back), OK);
		assert_text(back, rows[i][0]);
		buf_done(&out);
	}
	arena_done(&a);
}

static void test_what_no_encoder_writes_is_no_base64(void **state)
{
	static const char *const rows[] = {
		"Zg", "Zg=", "Zh==", "Zg==Zg==", "Z===", "Zm9-", "===="
	};
	struct slice back;
	struct arena a;

	(void)state;
	arena_init(&a);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(base64_decode(&a, slice_from(rows[i]), &back), ERR_INVALID);
	assert_int_equal(base64url_decode(&a, SLICE("Zm9-_w"), &back), OK);
	assert_int_equal(base64url_decode(&a, SLICE("Zm9+"), &back), ERR_INVALID);
	assert_int_equal(base64url_decode(&a, SLICE("Zg=="), &back), ERR_INVALID);
	arena_done(&a);
}

/* --- SCRAM ------------------------------------------------------------------------------------
 */

static void make_verifier(enum scram_hash hash, struct slice password, struct slice salt,
			  struct scram_verifier *ret)
{
	uint8_t salted[SCRAM_BYTES_MAX];

	*ret = (struct scram_verifier) {
		.hash = hash,
		.iterations = SCRAM_ITERATIONS_MIN,
		.salt_bytes = salt.size,
	};
	memcpy(ret->salt, salt.data, salt.size);
	scram_salt_password(hash, password, salt, ret->iterations, salted);
	scram_keys(hash, salted, ret->stored_key, ret->server_key);
}

#define RFC_7677_CHALLENGE                                                                         \
	"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define RFC_7677_FINAL                                                                             \
	"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"                             \
	"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="

static void test_the_server_agrees_with_rfc_7677(void **state)
{
	struct scram_verifier v;
	struct scram_first first;
	struct slice salt;
	struct buf out;
	struct arena a;

	(void)state;
	arena_init(&a);
	buf_init(&out);
	assert_int_equal(base64_decode(&a, SLICE("W22ZaJ0SNY7soEsUEjb6gQ=="), &salt), OK);
	make_verifier(SCRAM_SHA_256, SLICE("pencil"), salt, &v);
	assert_int_equal(scram_read_first(&a, SLICE("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"), &first),
			 OK);
	assert_text(first.user, "user");
	assert_int_equal(scram_finish(&a, &first, SLICE(RFC_7677_CHALLENGE), &v,
				      SLICE(RFC_7677_FINAL), &out),
			 OK);
	assert_text(buf_slice(&out), "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
	assert_true(scram_password_fits(&v, SLICE("pencil")));
	assert_false(scram_password_fits(&v, SLICE("pencils")));
	buf_done(&out);
	arena_done(&a);
}

static void test_the_client_agrees_with_rfc_7677(void **state)
{
	uint8_t signature[SCRAM_BYTES_MAX];
	struct buf out;
	struct arena a;

	(void)state;
	arena_init(&a);
	buf_init(&out);
	assert_int_equal(scram_respond(&a, SCRAM_SHA_256, SLICE("pencil"),
				       SLICE("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"),
				       SLICE(RFC_7677_CHALLENGE), &out, signature),
			 OK);
	assert_text(buf_slice(&out), RFC_7677_FINAL);
	assert_int_equal(
		scram_check_server(&a, SCRAM_SHA_256, signature,
				   SLICE("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")),
		OK);
	assert_int_equal(
		scram_check_server(&a, SCRAM_SHA_256, signature,
				   SLICE("v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")),
		ERR_DENIED);
	assert_int_equal(scram_check_server(&a, SCRAM_SHA_256, signature, SLICE("e=other-error")),
			 ERR_INVALID);
	buf_done(&out);
	arena_done(&a);
}

/* One exchange; what the server says of the proof. */
static enum err exchange(enum scram_hash hash, const char *user, const char *password,
			 const char *real)
{
	static const uint8_t client_random[SCRAM_RANDOM_BYTES] = "a client's random";
	static const uint8_t server_random[SCRAM_RANDOM_BYTES] = "the server's rand";
	struct buf begin, challenge, final, last;
	uint8_t signature[SCRAM_BYTES_MAX];
	struct scram_verifier v;
	struct scram_first first;
	struct arena a;

	arena_init(&a);
	buf_init(&begin);
	buf_init(&challenge);
	buf_init(&final);
	buf_init(&last);
	make_verifier(hash, slice_from(real), SLICE("some salt"), &v);
	scram_begin(slice_from(user), client_random, &begin);
	assert_int_equal(scram_read_first(&a, buf_slice(&begin), &first), OK);
	assert_text(first.user, user);
	scram_challenge(&first, &v, server_random, &challenge);
	assert_int_equal(scram_respond(&a, hash, slice_from(password), buf_slice(&begin),
				       buf_slice(&challenge), &final, signature),
			 OK);
	enum err err =
		scram_finish(&a, &first, buf_slice(&challenge), &v, buf_slice(&final), &last);
	if (!err)
		assert_int_equal(scram_check_server(&a, hash, signature, buf_slice(&last)), OK);
	else
		assert_int_equal(last.size, 0);
	buf_done(&begin);
	buf_done(&challenge);
	buf_done(&final);
	buf_done(&last);
	arena_done(&a);
	return err;
}

static void test_both_sides_agree_with_both_hashes(void **state)
{
	(void)state;
	assert_int_equal(exchange(SCRAM_SHA_256, "alice", "secret", "secret"), OK);
	assert_int_equal(exchange(SCRAM_SHA_512, "a,b=c", "secret", "secret"), OK);
	assert_int_equal(exchange(SCRAM_SHA_512, "bj\xc3\xb6rn", "secret", "Secret"), ERR_DENIED);
	assert_int_equal(exchange(SCRAM_SHA_256, "alice", "", "secret"), ERR_DENIED);
}

static void test_another_nonce_or_header_than_before_is_denied(void **state)
{
	static const char *const rows[] = {
		"c=biws,r=rOprNGfwEbeRWgbNEkqO,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
		"c=eSws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
		"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
	};
	struct scram_verifier v;
	struct scram_first first;
	struct buf out;
	struct arena a;

	(void)state;
	arena_init(&a);
	buf_init(&out);
	make_verifier(SCRAM_SHA_256, SLICE("pencil"), SLICE("salt"), &v);
	assert_int_equal(scram_read_first(&a, SLICE("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"), &first),
			 OK);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(scram_finish(&a, &first, SLICE(RFC_7677_CHALLENGE), &v,
					      slice_from(rows[i]), &out),
				 ERR_DENIED);
	assert_int_equal(out.size, 0);
	buf_done(&out);
	arena_done(&a);
}

static void test_first_messages_that_are_none_are_refused(void **state)
{
	static const char *const rows[] = {
		"",
		"n,,",
		"n,,n=user",
		"n,,n=,r=abc",
		"n,,n=user,r=",
		"n,,r=abc,n=user",
		"p=tls-unique,,n=user,r=abc",
		"n,a=somebody,n=user,r=abc",
		"n,,n=us=er,r=abc",
		"n,,m=ext,n=user,r=abc",
		"x,,n=user,r=abc",
	};
	struct scram_first first;
	struct arena a;

	(void)state;
	arena_init(&a);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(scram_read_first(&a, slice_from(rows[i]), &first), ERR_INVALID);
	assert_int_equal(scram_read_first(&a, SLICE("n,a=user,n=user,r=abc,x=ext"), &first), OK);
	arena_done(&a);
}

static void test_users_that_do_not_exist_look_the_same_every_time(void **state)
{
	static const uint8_t secret[32] = "a secret of the cluster";
	struct slice key = { secret, sizeof(secret) };
	struct scram_verifier one, again, other;

	(void)state;
	scram_fake(SCRAM_SHA_256, key, SLICE("nobody"), &one);
	scram_fake(SCRAM_SHA_256, key, SLICE("nobody"), &again);
	scram_fake(SCRAM_SHA_256, key, SLICE("somebody"), &other);
	assert_memory_equal(&one, &again, sizeof(one));
	assert_memory_not_equal(one.salt, other.salt, SCRAM_SALT_BYTES);
	assert_int_equal(one.salt_bytes, SCRAM_SALT_BYTES);
	assert_int_equal(one.iterations, SCRAM_ITERATIONS_DEFAULT);
}

/* --- PLAIN and OAUTHBEARER --------------------------------------------------------------------
 */

#define BYTES(text) ((struct slice) { (const uint8_t *)(text), sizeof(text) - 1 })

static void test_plain_has_a_user_and_a_password(void **state)
{
	struct slice user, password;

	(void)state;
	assert_int_equal(plain_read(BYTES("\0alice\0secret"), &user, &password), OK);
	assert_text(user, "alice");
	assert_text(password, "secret");
	assert_int_equal(plain_read(BYTES("alice\0alice\0s"), &user, &password), OK);
	assert_int_equal(plain_read(BYTES("bob\0alice\0s"), &user, &password), ERR_INVALID);
	assert_int_equal(plain_read(BYTES("\0alice"), &user, &password), ERR_INVALID);
	assert_int_equal(plain_read(BYTES("\0alice\0"), &user, &password), ERR_INVALID);
	assert_int_equal(plain_read(BYTES("\0\0secret"), &user, &password), ERR_INVALID);
	assert_int_equal(plain_read(BYTES("\0alice\0a\0b"), &user, &password), ERR_INVALID);
	assert_int_equal(plain_read(BYTES(""), &user, &password), ERR_INVALID);
}

static void test_bearer_has_one_token(void **state)
{
	struct slice token;

	(void)state;
	assert_int_equal(bearer_read(BYTES("n,,\001auth=Bearer a.b.c\001\001"), &token), OK);
	assert_text(token, "a.b.c");
	assert_int_equal(bearer_read(BYTES("n,a=x,\001k=v\001auth=Bearer t\001\001"), &token), OK);
	assert_text(token, "t");
	assert_int_equal(bearer_read(BYTES("n,,\001auth=Bearer a.b.c\001"), &token), ERR_INVALID);
	assert_int_equal(bearer_read(BYTES("n,,\001auth=Basic a\001\001"), &token), ERR_INVALID);
	assert_int_equal(bearer_read(BYTES("n,,\001\001"), &token), ERR_INVALID);
	assert_int_equal(bearer_read(BYTES("n,,\001auth=Bearer a\001auth=Bearer b\001\001"),
				     &token),
			 ERR_INVALID);
	assert_int_equal(bearer_read(BYTES("\001"), &token), ERR_INVALID);
}

static void test_what_is_written_is_read(void **state)
{
	static const uint8_t long_bytes[BEARER_BYTES_MAX] = { 0 };
	struct slice one, two;
	struct buf out;

	(void)state;
	buf_init(&out);
	assert_int_equal(plain_write(SLICE("alice"), SLICE("secret"), &out), OK);
	assert_int_equal(plain_read(buf_slice(&out), &one, &two), OK);
	assert_text(one, "alice");
	assert_text(two, "secret");
	buf_clear(&out);
	assert_int_equal(bearer_write(SLICE("a.b.c"), &out), OK);
	assert_int_equal(bearer_read(buf_slice(&out), &one), OK);
	assert_text(one, "a.b.c");
	buf_clear(&out);
	assert_int_equal(plain_write(SLICE(""), SLICE("secret"), &out), ERR_INVALID);
	assert_int_equal(plain_write(SLICE("alice"), SLICE(""), &out), ERR_INVALID);
	assert_int_equal(plain_write(BYTES("al\0ice"), SLICE("secret"), &out), ERR_INVALID);
	assert_int_equal(plain_write(SLICE("alice"), BYTES("se\0cret"), &out), ERR_INVALID);
	assert_int_equal(plain_write(SLICE("a"), (struct slice) { long_bytes + 1, PLAIN_BYTES_MAX },
				     &out),
			 ERR_INVALID);
	assert_int_equal(bearer_write(SLICE(""), &out), ERR_INVALID);
	assert_int_equal(bearer_write(SLICE("a\1b"), &out), ERR_INVALID);
	assert_int_equal(bearer_write((struct slice) { long_bytes, sizeof(long_bytes) }, &out),
			 ERR_INVALID);
	assert_int_equal(out.size, 0);
	buf_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_base64_is_that_of_rfc_4648),
		cmocka_unit_test(test_what_no_encoder_writes_is_no_base64),
		cmocka_unit_test(test_the_server_agrees_with_rfc_7677),
		cmocka_unit_test(test_the_client_agrees_with_rfc_7677),
		cmocka_unit_test(test_both_sides_agree_with_both_hashes),
		cmocka_unit_test(test_another_nonce_or_header_than_before_is_denied),
		cmocka_unit_test(test_first_messages_that_are_none_are_refused),
		cmocka_unit_test(test_users_that_do_not_exist_look_the_same_every_time),
		cmocka_unit_test(test_plain_has_a_user_and_a_password),
		cmocka_unit_test(test_bearer_has_one_token),
		cmocka_unit_test(test_what_is_written_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

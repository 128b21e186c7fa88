/* Who is refused over TLS learns why, also when it has sent more by then: a client of TLS 1.3 is
 * done with its part before the server has looked at its certificate. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "loop/private.h"
#include "loop/stream.h"
#include "loop/turn_testing.h"

enum { SERVER = 1, FRIEND, STRANGER, TRIES = 3, REQUEST_BYTES = 64 * 1024 };

static const uint8_t seeds[4][TLS_KEY_BYTES] = { { 0 }, { 11 }, { 22 }, { 33 } };

struct world {
	struct loop *loop;
	struct tls_identity *identity;
	struct listener *listener;
	struct timer tick;
};

static void on_accept(void *context, struct stream *s)
{
	(void)context;
	(void)s;
	fail_msg("a stranger was let in");
}

static void open_world(struct world *w)
{
	char why[TASK_WHY_BYTES];
	uint8_t key[TLS_KEY_BYTES];

	tls_public_key(seeds[FRIEND], key);
	*w = (struct world) { .loop = loop_new(0) };
	w->identity = tls_identity_new(seeds[SERVER], (const uint8_t *[]) { key }, 1);
	assert_int_equal(listener_open_tls(w->loop, "127.0.0.1", 0, w->identity, on_accept, w,
					   &w->listener, why),
			 OK);
}

static void close_world(struct world *w)
{
	listener_close(w->listener);
	timer_clear(&w->tick);
	loop_run(w->loop); /* until everybody has gone */
	assert_int_equal(w->loop->refused_count, 0);
	loop_free(w->loop);
	tls_identity_free(w->identity);
}

/* --- the stranger ---------------------------------------------------------------------------- */

struct client {
	SSL_CTX *context;
	SSL *ssl;
	int fd;
};

static void show_certificate(SSL_CTX *context)
{
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seeds[STRANGER],
						     TLS_KEY_BYTES);
	X509 *x = X509_new();

	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	assert_true(X509_sign(x, key, NULL) > 0);
	assert_int_equal(SSL_CTX_use_certificate(context, x), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(context, key), 1);
	X509_free(x);
	EVP_PKEY_free(key);
}

static void client_connect(struct client *c, const struct world *w)
{
	struct sockaddr_in to = { .sin_family = AF_INET };

	to.sin_port = htons(listener_port(w->listener));
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(c->fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(fcntl(c->fd, F_SETFL, O_NONBLOCK), 0);
	c->context = SSL_CTX_new(TLS_client_method());
	show_certificate(c->context);
	c->ssl = SSL_new(c->context);
	assert_int_equal(SSL_set_fd(c->ssl, c->fd), 1);
}

static void client_close(struct client *c)
{
	SSL_free(c->ssl);
	SSL_CTX_free(c->context);
	close(c->fd);
}

/* Its certificate goes out with the last step, and nothing of the server runs before its request is
 * there too: more than the server takes with one call.  False: the machine stood still for so long
 * that the server did not wait. */
static bool shake_and_request(struct client *c, struct world *w)
{
	static const uint8_t request[REQUEST_BYTES];
	uint64_t until_ms = clock_now_ms() + WAIT_MS;
	int code;

	while ((code = SSL_connect(c->ssl)) != 1) {
		assert_true(clock_now_ms() < until_ms);
		if (SSL_get_error(c->ssl, code) != SSL_ERROR_WANT_READ)
			return false;
		turn_loop(w->loop, &w->tick);
	}
	return SSL_write(c->ssl, request, sizeof(request)) == sizeof(request);
}

static bool has_end(const struct client *c, short *ret_events)
{
	struct pollfd fd = { .fd = c->fd, .events = POLLIN | POLLRDHUP };

	poll(&fd, 1, 0);
	*ret_events = fd.revents;
	return fd.revents & (POLLRDHUP | POLLHUP | POLLERR);
}

static bool learns_why(struct client *c, struct world *w)
{
	uint8_t room[16];
	short events;

	if (!shake_and_request(c, w))
		return false;
	WAIT_FOR(w, has_end(c, &events));
	if (events & (POLLERR | POLLHUP)) /* reset */
		return false;
	if (send(c->fd, "more", 4, MSG_NOSIGNAL) != 4)
		return false;
	turn_loop(w->loop, &w->tick);
	ERR_clear_error();
	return SSL_read(c->ssl, room, sizeof(room)) <= 0 &&
	       ERR_GET_REASON(ERR_peek_error()) == SSL_R_SSLV3_ALERT_BAD_CERTIFICATE;
}

static void test_a_client_that_has_sent_more_learns_why_it_is_refused(void **state)
{
	struct world w;
	bool is_told = false;

	(void)state;
	open_world(&w);
	for (int i = 0; i < TRIES && !is_told; i++) {
		struct client c;
		client_connect(&c, &w);
		is_told = learns_why(&c, &w);
		client_close(&c);
	}
	assert_true(is_told);
	WAIT_FOR(&w, w.loop->refused_count == 0);
	close_world(&w);
}

static bool is_reset(const struct client *c)
{
	return send(c->fd, "still there", 11, MSG_NOSIGNAL) < 0 && errno != EAGAIN;
}

static void test_one_that_stays_is_closed_after_a_while(void **state)
{
	struct world w;
	struct client c;

	(void)state;
	open_world(&w);
	client_connect(&c, &w);
	(void)shake_and_request(&c, &w);
	WAIT_FOR(&w, is_reset(&c));
	assert_int_equal(w.loop->refused_count, 0);
	client_close(&c);
	close_world(&w);
}

static void test_those_above_the_limit_are_closed_at_once(void **state)
{
	struct world w;
	struct client c;
	short events;

	(void)state;
	open_world(&w);
	w.loop->refused_count = STREAM_REFUSED_MAX;
	client_connect(&c, &w);
	(void)shake_and_request(&c, &w);
	WAIT_FOR(&w, has_end(&c, &events));
	assert_true(events & POLLHUP);
	assert_int_equal(w.loop->refused_count, STREAM_REFUSED_MAX);
	w.loop->refused_count = 0;
	client_close(&c);
	close_world(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_client_that_has_sent_more_learns_why_it_is_refused),
		cmocka_unit_test(test_one_that_stays_is_closed_after_a_while),
		cmocka_unit_test(test_those_above_the_limit_are_closed_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

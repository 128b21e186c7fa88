/* One test in progress, its checks, and its conversations with the broker.
 *
 * A check that fails ends the test with a sentence.  Whatever the test took (memory, connections)
 * is given back by whoever ran it, so tests are straight lines without clean-up. */
#ifndef MATRIX_TEST_H
#define MATRIX_TEST_H

#include <setjmp.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "kafka_messages.h"
#include "wire/kafka/errors.h"

enum { TEST_CLIENTS_MAX = 80, TEST_WHY_BYTES = 400, TEST_PATIENCE_MS = 15000 };

/* The client id of every connection, for those who show it. */
#define TEST_CLIENT_ID "matrix"

/* One connection. */
struct client {
	int fd;
	int32_t correlation_id; /* of the newest request */
};

struct test {
	struct arena arena;
	int16_t key;
	int16_t version; /* what the row is to be tested with */
	struct client clients[TEST_CLIENTS_MAX];
	size_t client_count;
	jmp_buf end;
	bool is_skipped; /* why it cannot be run here is in `why` */
	char why[TEST_WHY_BYTES];
};

/* Where the broker is; set once by main. */
extern const char *test_host;
extern uint16_t test_port;

/* --- checks ------------------------------------------------------------------------------------
 */

void test_fail(struct test *t, const char *file, int line, const char *format, ...)
	PRINTF_LIKE(4, 5) __attribute__((noreturn));

/* End the test: it cannot be run here. */
void test_skip(struct test *t, const char *why) __attribute__((noreturn));

#define FAIL(t, ...) test_fail(t, __FILE__, __LINE__, __VA_ARGS__)

#define CHECK(t, condition)                                                                        \
	do {                                                                                       \
		if (!(condition))                                                                  \
			FAIL(t, "%s does not hold", #condition);                                   \
	} while (0)

#define CHECK_INT(t, got, want) check_int(t, __FILE__, __LINE__, #got, (int64_t)(got), want)
#define CHECK_SLICE(t, got, want) check_slice(t, __FILE__, __LINE__, #got, got, want)
#define CHECK_TEXT(t, got, want) check_slice(t, __FILE__, __LINE__, #got, got, slice_from(want))
#define CHECK_NULL(t, got) check_null(t, __FILE__, __LINE__, #got, got)
#define CHECK_UUID(t, got, want) check_uuid(t, __FILE__, __LINE__, #got, got, want)

/* An error of the protocol, printed as a word. */
#define CHECK_ERROR(t, got, want) check_error(t, __FILE__, __LINE__, #got, got, want)

void check_int(struct test *t, const char *file, int line, const char *what, int64_t got,
	       int64_t want);
void check_error(struct test *t, const char *file, int line, const char *what, int16_t got,
		 int16_t want);
void check_slice(struct test *t, const char *file, int line, const char *what, struct slice got,
		 struct slice want);
void check_null(struct test *t, const char *file, int line, const char *what, struct slice got);
void check_uuid(struct test *t, const char *file, int line, const char *what, struct uuid got,
		struct uuid want);

/* A field that versions `since` and later have: then it must be `want`, before its default. */
#define CHECK_SINCE(t, since, got, want, otherwise)                                                \
	CHECK_INT(t, got, (t)->version >= (since) ? (want) : (otherwise))

/* --- conversations -----------------------------------------------------------------------------
 */

/* A new connection; closed when the test ends. */
struct client *client_open(struct test *t);
void client_close(struct client *c);

/* Send one request; returns its correlation id. */
int32_t client_send(struct test *t, struct client *c, int16_t key, int16_t version,
		    const void *request);
void client_send_bytes(struct test *t, struct client *c, struct slice bytes);

/* The next answer: header and body must be exactly what the version says.  In the arena. */
void *client_receive(struct test *t, struct client *c, int16_t key, int16_t version,
		     int32_t correlation_id);

/* client_receive() in two steps: the frame of an answer, without its length, into its struct. */
void *client_decode(struct test *t, int16_t key, int16_t version, int32_t correlation_id,
		    struct slice bytes);

/* Does anybody listen? */
bool client_may_connect(void);

void *client_call(struct test *t, struct client *c, int16_t key, int16_t version,
		  const void *request);

/* client_call() on the first connection of the test. */
void *test_call(struct test *t, int16_t key, int16_t version, const void *request);

/* The frame of an answer without its length. */
struct slice client_receive_bytes(struct test *t, struct client *c);

/* The broker must close the connection without another byte. */
void client_expect_close(struct test *t, struct client *c);

/* Nothing must come within `ms`. */
void client_expect_silence(struct test *t, struct client *c, int ms);

/* --- small things ------------------------------------------------------------------------------
 */

/* A name that nobody had before, "m1f3-Fetch-v12-1" for a run called 1f3. */
struct slice test_name(struct test *t, const char *word);
struct slice test_format(struct test *t, const char *format, ...) PRINTF_LIKE(2, 3);

/* Runs `run` for a version of an API; true when no check failed.  t->why says what did, or why it
 * was skipped. */
bool test_run(struct test *t, int16_t key, int16_t version, void (*run)(struct test *t));

#endif

/* Any bytes as what a client sends to a server, and the other way round.  A first byte says in how
 * long pieces they come and what the owner does with requests. */
#include "loop/http2.h"

#include <stdlib.h>

enum { OUTPUT_BYTES = 4096 };

static uint8_t choice;

static void on_output(void *context)
{
	(void)context;
}

static void on_request(void *context, struct http2_exchange *e)
{
	(void)context;
	if (choice & 1) {
		http2_answer(e, 200, "text/plain", e->body);
	} else if (choice & 2) {
		http2_begin(e, 200, NULL);
		http2_write(e, blob_from(e->path));
	} else if (choice & 4) {
		http2_reset(e);
	}
}

static void forget(void *context, struct http2_exchange *e)
{
	(void)context;
	(void)e;
}

static void on_data(void *context, struct http2_exchange *e, struct slice bytes)
{
	(void)context;
	(void)bytes;
	if (choice & 1)
		http2_cancel(e);
}

static void on_end(void *context, struct http2_exchange *e, enum err err)
{
	(void)context;
	(void)e;
	(void)err;
}

static void feed_all(struct http2 *h, struct slice in, bool is_server)
{
	size_t step = (size_t)(choice >> 4) * 7 + 1;
	uint64_t now_ms = 1;
	struct buf out;

	buf_init(&out);
	while (in.size > 0) {
		struct slice part = slice_part(in, 0, step);
		if (http2_feed(h, part, 1))
			break;
		buf_clear(&out);
		if (choice & 8)
			http2_output(h, &out, OUTPUT_BYTES);
		if (is_server && part.data[0] == choice)
			http2_drop_slow(h, 2);
		if (is_server && part.data[0] % 16 == 3)
			http2_drop_unread(h, now_ms++, 2);
		if (is_server && part.data[0] == 0xfe)
			http2_discard(h);
		in = slice_part(in, part.size, in.size);
	}
	http2_end(h);
	http2_free(h);
	buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http2_budget budget = { .max = 100 }, unsent = { .used = 0 };
	const struct http2_config server = {
		.on_output = on_output,
		.on_request = on_request,
		.on_gone = forget,
		.budget = &budget,
		.unsent = &unsent,
	};
	const struct http2_config client = {
		.on_output = on_output,
		.on_data = on_data,
		.on_end = on_end,
	};
	const struct http2_request request = { .method = "GET", .authority = "a", .path = "/" };
	struct http2 *h;

	if (size == 0)
		return 0;
	choice = data[0];
	struct slice in = { data + 1, size - 1 };
	h = http2_new_server(&server);
	/* the fuzzer need not find the words a client begins with */
	if (http2_feed(h, SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 1))
		abort();
	feed_all(h, in, true);
	if (budget.used > 0 || unsent.used > 0)
		abort();
	h = http2_new_client(&client);
	if (!http2_request(h, &request))
		abort();
	feed_all(h, in, false);
	return 0;
}

/* libcurl's multi interface on our loop: it says which sockets to watch and when to call it. */
#include "buckets/s3_http.h"

#include <assert.h>
#include <stdlib.h>
#include <strings.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "buckets/curl_library.h"
#include "loop/timer.h"
#include "loop/watch.h"

enum { BUFFER_BYTES = 256 << 10, FIRST_BODY_BYTES = 16 << 10 };

_Static_assert(S3_HEADER_BYTES_MAX >= CURL_ERROR_SIZE, "error texts of libcurl fit");

struct s3_http {
	CURLM *multi;
	struct loop *loop; /* of the first exchange; all have the same */
	struct timer timer;
	struct list waiting; /* struct s3_exchange.link */
	size_t active;
	char *authorities;
	bool with_proxy;
	struct meter *meter; /* or NULL */
	struct meter_times *times;
};

/* --- what libcurl asks for -------------------------------------------------------------------- */
static void take_results(struct s3_http *h);

static void act(struct s3_http *h, curl_socket_t fd, int events)
{
	int running;
	CURLMcode code = curl.multi_socket_action(h->multi, fd, events, &running);

	assert(code == CURLM_OK);
	take_results(h);
}

static void on_socket_ready(void *context, int fd, bool is_readable, bool is_writable)
{
	act(context, fd,
	    (is_readable ? CURL_CSELECT_IN : 0) | (is_writable ? CURL_CSELECT_OUT : 0));
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *socket_context)
{
	struct s3_http *h = context;
	struct watch *w = socket_context;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (w)
			watch_close(w);
		curl.multi_assign(h->multi, fd, NULL);
		return 0;
	}
	if (!w) {
		w = watch_open(h->loop, fd, on_socket_ready, h);
		assert(w); /* a socket can be watched */
		curl.multi_assign(h->multi, fd, w);
	}
	watch_set(w, what & CURL_POLL_IN, what & CURL_POLL_OUT);
	return 0;
}

static void on_timer(struct timer *t)
{
	struct s3_http *h = CONTAINER(t, struct s3_http, timer);
	long wait_ms = -1;

	act(h, CURL_SOCKET_TIMEOUT, 0);
	/* Our clock is coarser than libcurl's: called a moment early, it does not ask again. */
	if (h->active == 0 || h->timer.node.index != 0)
		return;
	curl.multi_timeout(h->multi, &wait_ms);
	if (wait_ms >= 0)
		timer_set(&h->timer, h->loop, loop_now_ms(h->loop) + (uint64_t)wait_ms + 1,
			  on_timer);
}

static int on_timeout_change(CURLM *multi, long wait_ms, void *context)
{
	struct s3_http *h = context;

	(void)multi;
	if (wait_ms < 0)
		timer_clear(&h->timer);
	else
		timer_set(&h->timer, h->loop, loop_now_ms(h->loop) + (uint64_t)wait_ms, on_timer);
	return 0;
}

/* --- one exchange ---------------------------------------------------------------------------- */
/* A request that changes something is sent once: libcurl would send it again when a connection that
 * was kept turns out to be dead, and nobody could tell whose effect an answer is about. */
static int on_send(void *context, char *local_host, char *remote_host, int local_port,
		   int remote_port)
{
	struct s3_exchange *x = context;
	bool is_change = strcmp(x->method, "GET") != 0 && strcmp(x->method, "HEAD") != 0;

	(void)local_host;
	(void)remote_host;
	(void)local_port;
	(void)remote_port;
	if (x->sends > 0 && is_change)
		return CURL_PREREQFUNC_ABORT;
	x->sends++;
	return CURL_PREREQFUNC_OK;
}

static void on_hold_over(struct timer *t)
{
	struct s3_exchange *x = CONTAINER(t, struct s3_exchange, hold);

	x->held_bytes = 0;
	curl.easy_pause(x->curl, CURLPAUSE_CONT);
}

static size_t on_read(char *ret, size_t size, size_t count, void *context)
{
	struct s3_exchange *x = context;
	size_t room = size * count, used = 0;

	if (x->hold_ms && x->sent_bytes == 0)
		timer_set(&x->hold, x->http->loop, loop_now_ms(x->http->loop) + x->hold_ms,
			  on_hold_over);
	if (x->held_bytes && x->sent_bytes >= x->held_bytes)
		return CURL_READFUNC_PAUSE;
	if (x->held_bytes && room > x->held_bytes - x->sent_bytes)
		room = x->held_bytes - x->sent_bytes;
	while (used < room && x->piece < x->piece_count) {
		struct slice part = slice_part(x->pieces[x->piece], x->piece_offset, room - used);

		if (part.size == 0) {
			x->piece++;
			x->piece_offset = 0;
			continue;
		}
		memcpy(ret + used, part.data, part.size);
		used += part.size;
		x->piece_offset += part.size;
	}
	x->sent_bytes += used;
	return used;
}

static long status_of(struct s3_exchange *x)
{
	long status = 0;

	curl.easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

static void make_room(struct s3_exchange *x, size_t size, uint64_t limit)
{
	uint64_t wanted = FIRST_BODY_BYTES;
	struct blob *bigger;

	if (x->body && x->body->capacity - x->body->size >= size)
		return;
	if (x->has_content_length && x->content_length <= limit)
		wanted = x->content_length;
	if (x->body && wanted < 2 * x->body->capacity)
		wanted = 2 * x->body->capacity;
	if (wanted < (x->body ? x->body->size : 0) + size)
		wanted = (x->body ? x->body->size : 0) + size;
	bigger = blob_new(wanted);
	if (x->body) {
		memcpy(bigger->data, x->body->data, x->body->size);
		bigger->size = x->body->size;
		blob_unref(&x->body);
	}
	x->body = bigger;
}

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
	struct s3_exchange *x = context;
	long status = status_of(x);
	bool is_good = status == 200 || status == 206;
	uint64_t limit = is_good ? x->body_bytes_max : S3_ERROR_BYTES_MAX;
	size_t used = x->body ? x->body->size : 0;

	size *= count;
	if (size > limit - used) {
		x->is_too_long = is_good;
		return is_good ? 0 : size; /* of an error, the beginning is enough */
	}
	make_room(x, size, limit);
	memcpy(x->body->data + used, data, size);
	x->body->size += size;
	return size;
}

static bool take_header(struct slice line, const char *name, char ret[S3_HEADER_BYTES_MAX])
{
	size_t size = strlen(name);
	struct slice value;

	if (line.size <= size || line.data[size] != ':' ||
	    strncasecmp((const char *)line.data, name, size) != 0)
		return false;
	value = slice_part(line, size + 1, line.size);
	while (value.size && (value.data[0] == ' ' || value.data[0] == '\t'))
		value = slice_part(value, 1, value.size);
	while (value.size &&
	       (value.data[value.size - 1] == '\n' || value.data[value.size - 1] == '\r' ||
		value.data[value.size - 1] == ' '))
		value.size--;
	if (value.size >= S3_HEADER_BYTES_MAX)
		return false;
	memcpy(ret, value.data, value.size);
	ret[value.size] = '\0';
	return true;
}

static size_t on_header(char *data, size_t size, size_t count, void *context)
{
	struct s3_exchange *x = context;
	struct slice line = { (const uint8_t *)data, size * count };
	char length[S3_HEADER_BYTES_MAX];

	if (slice_starts_with(line, SLICE("HTTP/"))) { /* an interim answer came before it */
		x->content_range[0] = x->crc32c[0] = x->date[0] = x->region[0] = x->tag[0] = '\0';
		x->has_content_length = false;
	} else if (take_header(line, "content-length", length)) {
		x->has_content_length =
			text_to_u64(slice_from(length), INT64_MAX, &x->content_length) == OK;
	} else {
		(void)(take_header(line, "content-range", x->content_range) ||
		       take_header(line, "x-amz-checksum-crc32c", x->crc32c) ||
		       take_header(line, "x-amz-bucket-region", x->region) ||
		       take_header(line, "etag", x->tag) || take_header(line, "date", x->date));
	}
	return line.size;
}

static void on_over(struct deferred *d)
{
	struct s3_exchange *x = CONTAINER(d, struct s3_exchange, over);

	x->on_over(x);
}

static void finish(struct s3_exchange *x, CURLcode result)
{
	x->is_over = true;
	x->status = (int)status_of(x);
	x->timed_out = result == CURLE_OPERATION_TIMEDOUT;
	x->is_untrusted =
		result == CURLE_PEER_FAILED_VERIFICATION || result == CURLE_SSL_CACERT_BADFILE;
	x->trouble = x->error[0] ? x->error : curl.easy_strerror(result);
	if (result == CURLE_OK)
		x->outcome = S3_ANSWERED;
	else if (x->sends == 0)
		x->outcome = S3_NOT_SENT;
	else
		x->outcome = x->is_too_long ? S3_REFUSED : S3_INTERRUPTED;
	if (x->task)
		task_wake(x->task);
	else
		deferred_set(&x->over, x->http->loop, on_over);
}

/* What may stand on the store's bill, however it ended: bodies as far as they went. */
static void count(const struct s3_exchange *x, struct meter *m)
{
	bool is_conditional = false, has_failed;

	if (!m || x->sends == 0 || x->is_direct) /* not the store */
		return;
	for (size_t i = 0; i < x->header_count; i++)
		is_conditional |= strncasecmp(x->headers[i], "If-None-Match:", 14) == 0;
	enum meter_request request = meter_request_of(x->method, x->url, is_conditional);
	m->requests[request] += (uint64_t)x->sends;
	has_failed = !x->is_over || x->outcome != S3_ANSWERED ||
		     (x->status >= 400 && x->status != 404 && x->status != 412);
	m->errors += has_failed;
	meter_times_add(x->http->times, request, clock_now_us() - x->since_us, has_failed);
	for (size_t i = 0; i < x->piece && i < x->piece_count; i++)
		m->sent_bytes += x->pieces[i].size;
	m->sent_bytes += x->piece < x->piece_count ? x->piece_offset : 0;
	m->received_bytes += x->body ? x->body->size : 0;
}

static void detach(struct s3_exchange *x)
{
	struct s3_http *h = x->http;

	timer_clear(&x->hold);
	count(x, h->meter);
	curl.multi_remove_handle(h->multi, x->curl);
	curl.easy_cleanup(x->curl);
	curl.slist_free_all(x->header_list);
	x->curl = NULL;
	x->header_list = NULL;
	h->active--;
}

/* --- starting -------------------------------------------------------------------------------- */
static void set_headers(struct s3_exchange *x)
{
	struct curl_slist *list = curl.slist_append(NULL, "Expect:");

	for (size_t i = 0; list && i < x->header_count; i++)
		list = curl.slist_append(list, x->headers[i]);
	assert(list);
	x->header_list = list;
	curl.easy_setopt(x->curl, CURLOPT_HTTPHEADER, list);
}

static void set_method(struct s3_exchange *x)
{
	uint64_t size = 0;

	if (strcmp(x->method, "HEAD") == 0)
		curl.easy_setopt(x->curl, CURLOPT_NOBODY, 1L);
	else if (strcmp(x->method, "DELETE") == 0 || strcmp(x->method, "POST") == 0)
		curl.easy_setopt(x->curl, CURLOPT_CUSTOMREQUEST, x->method);
	if (strcmp(x->method, "PUT") != 0 && strcmp(x->method, "POST") != 0)
		return;
	for (size_t i = 0; i < x->piece_count; i++)
		size += x->pieces[i].size;
	if (x->hold_ms)
		x->held_bytes = (size_t)(size / 2);
	curl.easy_setopt(x->curl, CURLOPT_UPLOAD, 1L);
	curl.easy_setopt(x->curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)size);
	curl.easy_setopt(x->curl, CURLOPT_READFUNCTION, on_read);
	curl.easy_setopt(x->curl, CURLOPT_READDATA, x);
	curl.easy_setopt(x->curl, CURLOPT_UPLOAD_BUFFERSIZE, (long)BUFFER_BYTES);
}

static void set_limits(struct s3_exchange *x)
{
	curl.easy_setopt(x->curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl.easy_setopt(x->curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl.easy_setopt(x->curl, CURLOPT_NOSIGNAL, 1L);
	curl.easy_setopt(x->curl, CURLOPT_QUICK_EXIT, 1L); /* a stop does not wait for names */
	curl.easy_setopt(x->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)S3_CONNECT_MS);
	curl.easy_setopt(x->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl.easy_setopt(x->curl, CURLOPT_LOW_SPEED_TIME, (long)S3_SILENCE_SECONDS);
	curl.easy_setopt(x->curl, CURLOPT_BUFFERSIZE, (long)BUFFER_BYTES);
	curl.easy_setopt(x->curl, CURLOPT_TCP_KEEPALIVE, 1L);
	if (x->timeout_ms)
		curl.easy_setopt(x->curl, CURLOPT_TIMEOUT_MS, (long)x->timeout_ms);
	if (!x->http->with_proxy || x->is_direct)
		curl.easy_setopt(x->curl, CURLOPT_PROXY, "");
	if (x->http->authorities[0])
		curl.easy_setopt(x->curl, CURLOPT_CAINFO, x->http->authorities);
}

static void attach(struct s3_exchange *x)
{
	x->curl = curl.easy_init();
	assert(x->curl);
	x->http->active++;
	x->since_us = clock_now_us();
	curl.easy_setopt(x->curl, CURLOPT_URL, x->url);
	curl.easy_setopt(x->curl, CURLOPT_PRIVATE, x);
	curl.easy_setopt(x->curl, CURLOPT_ERRORBUFFER, x->error);
	curl.easy_setopt(x->curl, CURLOPT_USERAGENT, "hanse");
	curl.easy_setopt(x->curl, CURLOPT_PREREQFUNCTION, on_send);
	curl.easy_setopt(x->curl, CURLOPT_PREREQDATA, x);
	curl.easy_setopt(x->curl, CURLOPT_WRITEFUNCTION, on_body);
	curl.easy_setopt(x->curl, CURLOPT_WRITEDATA, x);
	curl.easy_setopt(x->curl, CURLOPT_HEADERFUNCTION, on_header);
	curl.easy_setopt(x->curl, CURLOPT_HEADERDATA, x);
	set_method(x);
	set_headers(x);
	set_limits(x);
	CURLMcode code = curl.multi_add_handle(x->http->multi, x->curl);
	assert(code == CURLM_OK);
}

static void start_waiting(struct s3_http *h)
{
	struct list *link;

	while (h->active < S3_CONNECTIONS_MAX && (link = list_pop(&h->waiting)))
		attach(CONTAINER(link, struct s3_exchange, link));
	if (h->active == 0)
		timer_clear(&h->timer);
}

static void take_results(struct s3_http *h)
{
	CURLMsg *message;
	int left;

	while ((message = curl.multi_info_read(h->multi, &left))) {
		CURLcode result = message->data.result;
		struct s3_exchange *x = NULL;

		assert(message->msg == CURLMSG_DONE);
		curl.easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&x);
		finish(x, result);
		detach(x);
	}
	start_waiting(h);
}

void s3_exchange_start(struct s3_exchange *x, struct s3_http *h, struct loop *loop)
{
	assert(!h->loop || h->loop == loop);
	h->loop = loop;
	x->http = h;
	list_add(&h->waiting, &x->link);
	start_waiting(h);
}

void s3_exchange_done(struct s3_exchange *x)
{
	if (x->http && list_is_linked(&x->link))
		list_remove(&x->link);
	if (x->curl) {
		detach(x);
		start_waiting(x->http);
	}
	deferred_clear(&x->over);
	blob_unref(&x->body);
	x->is_over = true;
}

/* --- life ------------------------------------------------------------------------------------ */
struct s3_http *s3_http_new(const char *authorities, bool with_proxy, struct meter *meter,
			    struct meter_times *times)
{
	struct s3_http *h = NEW(struct s3_http);

	assert(curl.multi_init);
	h->with_proxy = with_proxy;
	h->meter = meter;
	h->times = times;
	h->authorities = memory_copy_text(authorities);
	list_init(&h->waiting);
	h->multi = curl.multi_init();
	assert(h->multi);
	curl.multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl.multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
	curl.multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_timeout_change);
	curl.multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
	curl.multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)S3_CONNECTIONS_MAX);
	return h;
}

void s3_http_free(struct s3_http *h)
{
	assert(h->active == 0 && list_is_empty(&h->waiting));
	assert(h->timer.node.index == 0);
	curl.multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, NULL);
	curl.multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, NULL);
	curl.multi_cleanup(h->multi);
	memory_free(h->authorities);
	memory_free(h);
}

#include "buckets/meter.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "buckets/bucket.h"

/* --- counting -------------------------------------------------------------------------------- */
static enum meter_request request_of_verb(enum bucket_verb verb)
{
	switch (verb) {
	case BUCKET_PUT:
		return METER_PUT;
	case BUCKET_PUT_NEW:
		return METER_PUT_NEW;
	case BUCKET_GET:
		return METER_GET;
	case BUCKET_HEAD:
		return METER_HEAD;
	case BUCKET_LIST:
		return METER_LIST;
	case BUCKET_DELETE:
		return METER_DELETE;
	case BUCKET_ABORT_UPLOADS:
		break;
	}
	abort();
}

/* Answers that say how things are, not that something went wrong. */
static bool is_error(enum err err)
{
	return err != OK && err != ERR_NOT_FOUND && err != ERR_EXISTS && err != ERR_CANCELED;
}

void meter_add_op(struct meter *m, const struct bucket_op *op, enum err err)
{
	m->requests[request_of_verb(op->verb)]++;
	m->errors += is_error(err);
	if (op->verb == BUCKET_PUT || op->verb == BUCKET_PUT_NEW)
		for (size_t i = 0; i < op->piece_count; i++)
			m->sent_bytes += op->pieces[i].size;
	if (op->ret_body)
		m->received_bytes += op->ret_body->size;
}

void meter_times_add(struct meter_times *t, enum meter_request request, uint64_t took_us,
		     bool has_failed)
{
	histogram_add(&t->took[request], &histogram_times, took_us);
	t->errors[request] += has_failed;
}

void meter_times_add_op(struct meter_times *t, const struct bucket_op *op, uint64_t since_us,
			enum err err)
{
	meter_times_add(t, request_of_verb(op->verb), clock_now_us() - since_us, is_error(err));
}

const char *meter_request_name(enum meter_request request)
{
	static const char *const names[METER_REQUESTS] = {
		"put", "put_new", "part", "get", "head", "list", "delete",
	};

	assert(request < METER_REQUESTS);
	return names[request];
}

static bool has_parameter(struct slice query, struct slice name)
{
	while (query.size > 0) {
		struct slice rest = slice_cut(&query, '&');

		if (slice_equal(slice_cut(&rest, '='), name))
			return true;
	}
	return false;
}

enum meter_request meter_request_of(const char *method, const char *url, bool is_conditional)
{
	struct slice query = slice_from(url), verb = slice_from(method);

	slice_cut(&query, '?');
	if (slice_equal(verb, SLICE("HEAD")))
		return METER_HEAD;
	if (slice_equal(verb, SLICE("DELETE")))
		return METER_DELETE;
	if (slice_equal(verb, SLICE("GET")))
		return has_parameter(query, SLICE("list-type")) ||
				       has_parameter(query, SLICE("uploads"))
			       ? METER_LIST
			       : METER_GET;
	if (has_parameter(query, SLICE("uploads")) || has_parameter(query, SLICE("uploadId")))
		return METER_PART;
	return is_conditional ? METER_PUT_NEW : METER_PUT;
}

/* --- arithmetic ------------------------------------------------------------------------------ */
bool meter_is_zero(const struct meter *m)
{
	for (int i = 0; i < METER_REQUESTS; i++)
		if (m->requests[i])
			return false;
	return true;
}

void meter_add(struct meter *m, const struct meter *more)
{
	for (int i = 0; i < METER_REQUESTS; i++)
		m->requests[i] += more->requests[i];
	m->errors += more->errors;
	m->sent_bytes += more->sent_bytes;
	m->received_bytes += more->received_bytes;
}

struct meter meter_since(const struct meter *now, const struct meter *before)
{
	struct meter since;

	for (int i = 0; i < METER_REQUESTS; i++)
		since.requests[i] = now->requests[i] - before->requests[i];
	since.errors = now->errors - before->errors;
	since.sent_bytes = now->sent_bytes - before->sent_bytes;
	since.received_bytes = now->received_bytes - before->received_bytes;
	return since;
}

/* --- whose ----------------------------------------------------------------------------------- */
static const struct bucket *storage_of(const struct bucket *b)
{
	while (b->inner)
		b = b->inner;
	return b;
}

const struct meter *bucket_meter(const struct bucket *b)
{
	return &storage_of(b)->meter;
}

const struct meter_times *bucket_meter_times(const struct bucket *b)
{
	return &storage_of(b)->times;
}

/* "http://user:word@host" without what stands before the "@". */
static struct slice without_user(struct slice endpoint, struct slice *ret_scheme)
{
	struct slice scheme = SLICE("");

	for (size_t i = 0; i + 3 <= endpoint.size; i++)
		if (memcmp(endpoint.data + i, "://", 3) == 0) {
			scheme = slice_part(endpoint, 0, i + 3);
			break;
		}
	struct slice host = slice_part(endpoint, scheme.size, endpoint.size);
	for (size_t i = host.size; i > 0; i--)
		if (host.data[i - 1] == '@') {
			host = slice_part(host, i, host.size);
			break;
		}
	*ret_scheme = scheme;
	return host;
}

void meter_name_of_url(const char *url, char ret[METER_NAME_BYTES_MAX])
{
	struct slice query = slice_from(url), path = slice_cut(&query, '?');
	char separator = '?';
	int used = snprintf(ret, METER_NAME_BYTES_MAX, "%.*s", SLICE_ARG(path));

	while (query.size > 0 && used < METER_NAME_BYTES_MAX) {
		struct slice value = slice_cut(&query, '&'), scheme = SLICE("");
		struct slice name = slice_cut(&value, '=');
		bool is_endpoint = slice_equal(name, SLICE("endpoint"));

		if (!is_endpoint && !slice_equal(name, SLICE("region")))
			continue;
		if (is_endpoint)
			value = without_user(value, &scheme);
		used += snprintf(ret + used, (size_t)(METER_NAME_BYTES_MAX - used),
				 "%c%.*s=%.*s%.*s", separator, SLICE_ARG(name), SLICE_ARG(scheme),
				 SLICE_ARG(value));
		separator = '&';
	}
}

void bucket_meter_name(const struct bucket *b, char ret[METER_NAME_BYTES_MAX])
{
	meter_name_of_url(storage_of(b)->url, ret);
}

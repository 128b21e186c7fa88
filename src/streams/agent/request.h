/* One Kafka request on its way through the agent.
 *
 * A request is a child task of its connection.  Its operation's step runs with task.at as in any
 * task; state that outlives a step lives in `state` (zeroed, in the arena).  Requests of one
 * connection run at the same time where the operation allows it; answers leave in order. */
#ifndef STREAMS_AGENT_REQUEST_H
#define STREAMS_AGENT_REQUEST_H

#include "base/arena.h"
#include "base/blob.h"
#include "base/buf.h"
#include "loop/task.h"
#include "streams/agent/agent.h"
#include "streams/catalog/denials.h"
#include "wire/kafka/api.h"

struct connection;
struct request;

enum { OPERATION_API_VERSIONS = 18 };

/* One row per API the agent serves; the table is operations.c. */
struct operation {
	int16_t api_key;
	bool may_overlap; /* later requests of the connection may start before this one is answered
			   */
	size_t state_bytes;
	const char *const *places;
	int place_count;
	/* Ends with request_answer(), request_answer_encoded(), request_drop() or request_refuse().
	 */
	enum step (*step)(struct request *r);
	/* Hurry what the request waits for, when it was canceled; may be NULL. */
	void (*on_cancel)(struct request *r);
	/* The agent stops and the request has not ended: it should, soon; may be NULL. */
	void (*on_stop)(struct request *r);
	/* Give back what `state` holds, however the request ended; called once; may be NULL. */
	void (*release)(struct request *r);
};

struct request_part {
	size_t position; /* in request.response: the blob comes before this byte */
	struct blob *blob;
};

struct request {
	struct task task;
	struct agent *agent;
	struct connection *connection;
	struct list link; /* in the connection, in order of arrival */
	const struct operation *operation;
	const struct kafka_api *api;
	struct arena arena;
	struct blob *bytes; /* the frame without its length; decoded slices point into it */
	struct kafka_request_header header;
	struct slice body; /* what follows the header, undecoded */
	void *state;
	struct buf response;	    /* length, header, body; empty when there is no answer */
	struct request_part *parts; /* of the response that were not copied into it, in order */
	size_t part_count;
	size_t answer_bytes; /* room the answer has in agent->answers already */
	uint64_t arrived_ms;
	uint64_t arrived_us;		 /* clock_now_us() */
	uint64_t step_began_us, busy_us; /* of the step that runs; what those before it took */
	struct denials denials;		 /* what it may not, as far as it asked */
	size_t used_bytes;		 /* of records, that count against the client's quota */
	uint64_t throttle_ms;		 /* the client is to wait for so long after the answer */
	bool is_counted;		 /* against its quotas */
	bool has_begun; /* its first step has run: requests begin in the order of arrival */
	bool is_over;	/* answered or dropped; waits for its turn to leave */
	bool closes;	/* the connection ends after this one */
};

/* The body as a struct of api->request in the request's arena, or NULL when it cannot be decoded:
 * then request_refuse(). */
void *request_decode(struct request *r);

/* Encode `response` (struct of api->response) and end the task. */
enum step request_answer(struct request *r, const void *response);

/* The same where large records of the response are whole blobs, which are sent without being
 * copied: `blobs` has them in the order of the response; NULLs and others among them are passed
 * over. */
enum step request_answer_blobs(struct request *r, const void *response, struct blob *const *blobs,
			       size_t blob_count);

/* The same with a body that is encoded already. */
enum step request_answer_encoded(struct request *r, struct slice body);

/* With these bytes and no header: only while tokens of SASL come without one too. */
enum step request_answer_raw(struct request *r, struct slice bytes);

/* Count the request against its client's quotas, now that `used_bytes` is known; returns how long
 * it is to wait.  Answering does so too: for APIs whose answer does not begin with that time. */
int32_t request_throttle(struct request *r);

/* End without an answer (acks=0); with `closes` the connection ends too. */
enum step request_drop(struct request *r, bool closes);

/* End the connection with one log line: for what the protocol has no error for. */
enum step request_refuse(struct request *r, const char *format, ...) PRINTF_LIKE(2, 3);

/* The answer will take long: the client's system need not wait for it to send what comes next. */
void request_acknowledge(const struct request *r);

/* The address of the client, "192.0.2.1". */
const char *request_client_host(const struct request *r);

/* May the client do that?  Every operation asks, with the word of Kafka's operation table, before
 * it tells whether the thing exists; where the answer is no, it answers with the resource's
 * AUTHORIZATION_FAILED.  Operations that control answers ask there (coordinator/operation.h).
 * What is denied is audited, once however often the request asks. */
bool request_may(struct request *r, enum grant_operation operation, enum grant_resource resource,
		 struct slice name);

/* Control denied it: the same. */
void request_deny(struct request *r, const struct denial *it);

/* May it DESCRIBE that?  For lists of everything, where what is left out is not denied. */
bool request_sees(struct request *r, enum grant_resource resource, struct slice name);

/* Of `mask`, for answers that tell which operations are authorised. */
int32_t request_operations(struct request *r, uint32_t mask, enum grant_resource resource,
			   struct slice name);

/* Who asks: "User:alice", no data if nobody signed in, and from where. */
struct guard_caller request_caller(const struct request *r);

const struct operation *operation_find(int16_t api_key);

#endif

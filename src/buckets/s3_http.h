/* HTTP exchanges with one S3 store: libcurl does the bytes, the loop the waiting.
 *
 * A limited number of connections, kept open between exchanges; an exchange beyond waits its turn.
 * Nothing is retried here. */
#ifndef BUCKETS_S3_HTTP_H
#define BUCKETS_S3_HTTP_H

#include "base/blob.h"
#include "base/buf.h"
#include "base/slice.h"
#include "buckets/meter.h"
#include "loop/timer.h"

enum {
	S3_CONNECTIONS_MAX = 32,       /* to one store, from one bucket of one process */
	S3_CONNECT_MS = 5000,	       /* until a connection stands, TLS included */
	S3_SILENCE_SECONDS = 10,       /* not a byte in either direction */
	S3_HEADER_BYTES_MAX = 256,     /* of a value that is looked at; longer ones are not */
	S3_ERROR_BYTES_MAX = 64 << 10, /* of the body beside an error */
};

struct s3_http;

/* `authorities`: a file of certificates, or "" for the system's.  `with_proxy`: if the environment
 * names one.  Every request that leaves is counted in `meter` and `times`, both borrowed, or
 * NULL. */
struct s3_http *s3_http_new(const char *authorities, bool with_proxy, struct meter *meter,
			    struct meter_times *times);
void s3_http_free(struct s3_http *h); /* no exchange is under way; the loop may be gone */

enum s3_outcome {
	S3_ANSWERED,	/* status, headers and body are there */
	S3_NOT_SENT,	/* no connection: the store has seen nothing of it */
	S3_INTERRUPTED, /* the store may have seen it, and may have acted on it */
	S3_REFUSED,	/* the answer was not what we take: too long, or not HTTP */
};

struct s3_exchange {
	const char *method;	    /* "GET", "HEAD", "PUT", "POST", "DELETE" */
	const char *url;	    /* all of these are borrowed until it is over */
	const char *const *headers; /* "name: value" */
	size_t header_count;
	const struct slice *pieces; /* the body of a PUT */
	size_t piece_count;
	uint64_t hold_ms;	 /* keep the second half of the body back for so long */
	uint64_t body_bytes_max; /* of an answer with 200 or 206 */
	uint64_t timeout_ms;	 /* of all of it, connection included; 0: the limits above */
	bool is_direct;		 /* no proxy, whatever the environment says */
	struct task *task;	 /* woken when it is over; or NULL, and then: */
	void (*on_over)(struct s3_exchange *x); /* from the run queue */

	bool is_over;
	enum s3_outcome outcome;
	bool timed_out;
	bool is_untrusted;   /* its certificate, or what we compare it with */
	const char *trouble; /* unless answered: for people, as long as the exchange */
	int status;
	struct blob *body; /* NULL when empty; s3_exchange_done() drops it */
	char content_range[S3_HEADER_BYTES_MAX];
	char crc32c[S3_HEADER_BYTES_MAX]; /* x-amz-checksum-crc32c */
	char date[S3_HEADER_BYTES_MAX];
	char tag[S3_HEADER_BYTES_MAX];	  /* ETag */
	char region[S3_HEADER_BYTES_MAX]; /* x-amz-bucket-region */
	uint64_t content_length;	  /* what the header says: of a HEAD the object's size */
	bool has_content_length;

	void *curl; /* private, from here on */
	void *header_list;
	struct list link;
	struct s3_http *http;
	char error[S3_HEADER_BYTES_MAX];
	size_t piece, piece_offset;
	struct deferred over;
	struct timer hold;
	size_t sent_bytes, held_bytes; /* of the body; what is held until the timer has come */
	int sends;		       /* how often the request left us, as far as it did */
	bool is_too_long;
	uint64_t since_us; /* when its turn came */
};

/* Nothing happens inside the call. */
void s3_exchange_start(struct s3_exchange *x, struct s3_http *h, struct loop *loop);

/* Forget it, cutting it off if it is under way; harmless twice, and on a zero one. */
void s3_exchange_done(struct s3_exchange *x);

#endif

/* The table of Kafka's APIs and the headers around their messages.
 *
 * A request is: int32 length | header | body.  The header is api_key int16, api_version int16,
 * correlation_id int32, client_id nullable string (never in compact form), and, where the version
 * is flexible, a section of tagged fields.  A response is: int32 length | correlation_id int32 |
 * tagged fields where the version is flexible | body; ApiVersions never has that section, so that a
 * client can read the answer before it knows what the broker speaks. */
#ifndef WIRE_KAFKA_API_H
#define WIRE_KAFKA_API_H

#include "wire/kafka/schema.h"

struct kafka_api {
	const char *name; /* "OffsetCommit" */
	const struct schema *request;
	const struct schema *response;
	int16_t key;
	int16_t version_first; /* what we can decode; some APIs advertise less or more */
	int16_t version_last;
	int16_t flexible_first; /* SCHEMA_VERSION_NEVER: none */
};

/* Sorted by key. */
extern const struct kafka_api kafka_apis[];
extern const size_t kafka_apis_count;

/* NULL: not spoken here. */
const struct kafka_api *kafka_api_find(int16_t key);

struct kafka_request_header {
	int16_t api_key;
	int16_t api_version;
	int32_t correlation_id;
	struct slice client_id; /* points into the input; may be null */
};

/* Read the header (without the length), leaving the body in `in`.  The API and the version need not
 * be known: an unknown API is taken as not flexible.  ERR_INVALID: not a header. */
MUST_CHECK enum err kafka_request_header_decode(struct slice *in, struct kafka_request_header *ret);

/* Read the body of a request.  Bytes after the message are passed over, as other brokers do:
 * librdkafka 2 leaves three of them behind a Metadata request for all topics. */
MUST_CHECK enum err kafka_request_decode(struct arena *a, const struct kafka_api *api, int version,
					 struct slice body, void *ret);

/* Append what clients send; for tests and for our own clients. */
void kafka_request_header_encode(const struct kafka_request_header *header, struct buf *out);

/* Append the header of a response (without the length).  `version` is the one the body is encoded
 * in. */
void kafka_response_header_encode(const struct kafka_api *api, int version, int32_t correlation_id,
				  struct buf *out);

#endif

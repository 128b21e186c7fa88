/* How long clients that use more than their quota are to wait (quota.h): they are answered, told
 * how long, and their connection is not read until then. */
#ifndef STREAMS_AGENT_THROTTLE_H
#define STREAMS_AGENT_THROTTLE_H

#include "streams/agent/request.h"

/* Count what the request did, as it is answered: the time of its steps, and the bytes its operation
 * has added to `used_bytes`.  Returns milliseconds. */
uint64_t throttle_request(struct request *r);

/* A connection came from this address: 0, or how long it is kept waiting and is then to be closed,
 * as Kafka does where one comes too often.  It does not count then, so that one that comes in time
 * is served. */
uint64_t throttle_connection(struct agent *agent, struct slice host);

/* Write this many milliseconds into an encoded body, if that of the API begins with them. */
void throttle_tell(const struct request *r, uint8_t *body, size_t size, uint64_t throttle_ms);

/* What such a body says: control has throttled.  0 if it does not begin with that. */
uint64_t throttle_told(const struct request *r, struct slice body);

#endif

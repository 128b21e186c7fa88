/* STUN's binding request and answer (RFC 8489), as far as finding the own public address needs it:
 * XOR-MAPPED-ADDRESS, SOFTWARE and FINGERPRINT; no authentication. */
#ifndef WIRE_STUN_STUN_H
#define WIRE_STUN_STUN_H

#include "base/err.h"
#include "base/slice.h"
#include "wire/endpoint.h"

enum {
	STUN_ID_BYTES = 12,
	STUN_MESSAGE_BYTES_MAX = 1280, /* longer ones are nobody's */
	STUN_REQUEST_BYTES = 40,       /* of ours */
	STUN_ANSWER_BYTES_MAX = 44,    /* of ours */
};

/* Could `packet` be STUN?  Cheap: for telling apart what arrives at one socket. */
bool stun_is_message(struct slice packet);

/* A binding request as the official client sends it. */
void stun_make_request(const uint8_t id[STUN_ID_BYTES], uint8_t ret[STUN_REQUEST_BYTES]);

/* ERR_INVALID: no binding request, or its FINGERPRINT is wrong (one without is fine);
 * ERR_UNSUPPORTED: it has an attribute that must be understood and is not. */
MUST_CHECK enum err stun_read_request(struct slice packet, uint8_t ret_id[STUN_ID_BYTES]);

/* `seen`: where the request came from.  IPv4 goes out as IPv4.  Returns the size. */
size_t stun_make_answer(const uint8_t id[STUN_ID_BYTES], const struct endpoint *seen,
			uint8_t ret[STUN_ANSWER_BYTES_MAX]);

/* ERR_INVALID: no answer to a binding request, or without an address. */
MUST_CHECK enum err stun_read_answer(struct slice packet, uint8_t ret_id[STUN_ID_BYTES],
				     struct endpoint *ret_seen);

#endif

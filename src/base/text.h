/* Small text: numbers with limits, hexadecimal, and the nearest word for a mistyped one. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/err.h"
#include "base/slice.h"

/* Decimal without sign, spaces or overflow; ERR_INVALID, or ERR_TOO_BIG above `max`. */
MUST_CHECK enum err text_to_u64(struct slice s, uint64_t max, uint64_t *ret);

/* Lower-case hex.  hex_encode writes 2*size characters and a NUL. */
void hex_encode(char *ret, struct slice s);
MUST_CHECK enum err hex_decode(struct slice hex, uint8_t *ret, size_t size);

/* The word of `words` (NULL-terminated) nearest to `given`, or NULL when none is near. */
const char *text_nearest(const char *given, const char *const *words);

/* "HOST:PORT" or "[V6]:PORT"; the host is copied NUL-terminated into host[host_size]. */
MUST_CHECK enum err text_host_port(const char *text, char *host, size_t host_size, uint16_t *port);

/* Bytes of the UTF-8 character at the front of a text that is not empty; 0: it is none.  Neither
 * surrogates nor overlong forms (RFC 3629). */
size_t utf8_size(struct slice s);

/* Unpadded base64url of 16 bytes, as Kafka prints ids: 22 characters and a NUL. */
void uuid_text(char ret[23], const uint8_t uuid[16]);

#endif

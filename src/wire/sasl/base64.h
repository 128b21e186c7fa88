/* Base64 (RFC 4648): the ordinary alphabet with padding, and that of URLs without. */
#ifndef WIRE_SASL_BASE64_H
#define WIRE_SASL_BASE64_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

void base64_add(struct buf *out, struct slice bytes);

/* Strictly: ERR_INVALID for whatever the encoder would not have written. */
MUST_CHECK enum err base64_decode(struct arena *a, struct slice text, struct slice *ret);
MUST_CHECK enum err base64url_decode(struct arena *a, struct slice text, struct slice *ret);

#endif

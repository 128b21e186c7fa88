/* Messages that carry the secret itself, so they belong into TLS:
 *
 *	PLAIN		[who to act for] NUL user NUL password		(RFC 4616)
 *	OAUTHBEARER	n,[a=who to act for],^A auth=Bearer TOKEN ^A key=value ^A ^A  (RFC 7628) */
#ifndef WIRE_SASL_PLAIN_H
#define WIRE_SASL_PLAIN_H

#include "base/buf.h"

enum { PLAIN_BYTES_MAX = 4096, BEARER_BYTES_MAX = 64 * 1024 };

/* Parts of the message.  ERR_INVALID: it is none, or wants to act for somebody else. */
MUST_CHECK enum err plain_read(struct slice message, struct slice *ret_user,
			       struct slice *ret_password);
MUST_CHECK enum err bearer_read(struct slice message, struct slice *ret_token);

/* Append the message that is read as that.  ERR_INVALID: there is none, as the user, the password
 * or the token is empty, too long, or has a byte that ends it; nothing is appended then. */
MUST_CHECK enum err plain_write(struct slice user, struct slice password, struct buf *out);
MUST_CHECK enum err bearer_write(struct slice token, struct buf *out);

#endif

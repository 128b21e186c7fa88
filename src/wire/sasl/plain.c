#include "wire/sasl/plain.h"

#include <stdbool.h>
#include <string.h>

enum err plain_read(struct slice message, struct slice *ret_user, struct slice *ret_password)
{
	struct slice rest = message;
	size_t separators = 0;

	if (message.size > PLAIN_BYTES_MAX)
		return ERR_INVALID;
	for (size_t i = 0; i < message.size; i++)
		separators += message.data[i] == 0;
	if (separators != 2)
		return ERR_INVALID;
	struct slice acted_for = slice_cut(&rest, '\0');
	struct slice user = slice_cut(&rest, '\0');
	if (user.size == 0 || rest.size == 0 || (acted_for.size && !slice_equal(acted_for, user)))
		return ERR_INVALID;
	*ret_user = user;
	*ret_password = rest;
	return OK;
}

static bool has_byte(struct slice s, uint8_t byte)
{
	return s.size > 0 && memchr(s.data, byte, s.size);
}

enum err plain_write(struct slice user, struct slice password, struct buf *out)
{
	if (user.size == 0 || password.size == 0 || has_byte(user, 0) || has_byte(password, 0) ||
	    user.size + password.size + 2 > PLAIN_BYTES_MAX)
		return ERR_INVALID;
	buf_add_u8(out, 0);
	buf_add_slice(out, user);
	buf_add_u8(out, 0);
	buf_add_slice(out, password);
	return OK;
}

enum { SEPARATOR = 1 };
#define BEARER_HEAD "n,,\1auth=Bearer "
#define BEARER_TAIL "\1\1"

enum err bearer_read(struct slice message, struct slice *ret_token)
{
	struct slice rest = message, token = { 0 };

	if (message.size > BEARER_BYTES_MAX || message.size < 2 ||
	    message.data[message.size - 1] != SEPARATOR ||
	    message.data[message.size - 2] != SEPARATOR)
		return ERR_INVALID;
	struct slice header = slice_cut(&rest, SEPARATOR);
	if (!slice_starts_with(header, SLICE("n,")) || header.data[header.size - 1] != ',')
		return ERR_INVALID;
	while (rest.size) {
		struct slice pair = slice_cut(&rest, SEPARATOR);
		if (!slice_starts_with(pair, SLICE("auth=")))
			continue;
		struct slice value = slice_part(pair, 5, pair.size);
		if (token.size || value.size <= 7 ||
		    (!slice_starts_with(value, SLICE("Bearer ")) &&
		     !slice_starts_with(value, SLICE("bearer "))))
			return ERR_INVALID;
		token = slice_part(value, 7, value.size);
	}
	if (token.size == 0)
		return ERR_INVALID;
	*ret_token = token;
	return OK;
}

enum err bearer_write(struct slice token, struct buf *out)
{
	if (token.size == 0 || has_byte(token, SEPARATOR) ||
	    strlen(BEARER_HEAD) + token.size + strlen(BEARER_TAIL) > BEARER_BYTES_MAX)
		return ERR_INVALID;
	buf_add_text(out, BEARER_HEAD);
	buf_add_slice(out, token);
	buf_add_text(out, BEARER_TAIL);
	return OK;
}

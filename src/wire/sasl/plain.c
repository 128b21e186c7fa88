#include "wire/sasl/plain.h"

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

enum { SEPARATOR = 1 };

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

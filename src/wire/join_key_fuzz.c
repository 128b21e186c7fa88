/* Any bytes as a join key.  The checksum keeps a mutator out, so what stands behind the prefix is
 * also given a right one. */
#include "wire/join_key.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fill(char *ret, size_t max, const uint8_t **data, size_t *size)
{
	size_t take = *size > 0 ? (*data)[0] % (max + 1) : 0;

	if (*size == 0)
		return;
	++*data;
	--*size;
	take = take < *size ? take : *size;
	memcpy(ret, *data, take);
	*data += take;
	*size -= take;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct join_key k, back;
	char text[JOIN_KEY_TEXT_BYTES];

	if (join_key_parse((struct slice) { data, size }, &k) == OK &&
	    (join_key_text(&k, text) || join_key_parse(slice_from(text), &back) ||
	     strcmp(k.secret, back.secret) != 0))
		abort();
	k = (struct join_key) { .url_count = size > 0 ? data[0] % (JOIN_KEY_URLS_MAX + 2) : 0 };
	for (size_t i = 0; i < JOIN_KEY_URLS_MAX; i++)
		fill(k.urls[i], JOIN_KEY_URL_BYTES_MAX, &data, &size);
	fill(k.secret, JOIN_KEY_SECRET_BYTES_MAX, &data, &size);
	if (join_key_text(&k, text) == OK &&
	    (join_key_parse(slice_from(text), &back) || strcmp(k.secret, back.secret) != 0))
		abort();
	return 0;
}

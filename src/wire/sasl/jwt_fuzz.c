/* Any bytes as a token, and as a set of keys.  The first byte says which. */
#include "wire/sasl/jwt.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char some_keys[] = "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\","
				"\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
				"\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct jwt_rules rules = { SLICE("joe"), SLICE("kafka"), 1300819379 };
	struct slice bytes = { data + 1, size - 1 };
	char text[JWT_WHY_BYTES] = "";
	struct jwt_keys *keys = NULL;
	const char *why = NULL;
	struct jwt jwt;
	struct arena a;

	if (size == 0)
		return 0;
	if (data[0] & 1) {
		if (jwt_keys_parse(bytes, &keys, text) == OK && jwt_keys_count(keys) == 0)
			abort();
		jwt_keys_free(keys);
		return 0;
	}
	if (jwt_keys_parse(slice_from(some_keys), &keys, text))
		abort();
	arena_init(&a);
	if (jwt_check(&a, keys, bytes, &rules, &jwt, &why) == OK || !why)
		abort(); /* nobody has the key */
	arena_done(&a);
	jwt_keys_free(keys);
	return 0;
}

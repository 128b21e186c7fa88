/* Any bytes as a key file.  seeds: test/corpus/keys */
#include "wire/keys/keyring.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char why[KEYRING_WHY_BYTES] = "";
	struct keyring k, again;
	struct buf text;

	if (keyring_parse((struct slice) { data, size }, &k, why)) {
		if (!why[0])
			abort();
		return 0;
	}
	buf_init(&text);
	keyring_encode(&k, &text);
	if (keyring_parse(buf_slice(&text), &again, why) || memcmp(&k, &again, sizeof(k)) != 0)
		abort();
	buf_done(&text);
	return 0;
}

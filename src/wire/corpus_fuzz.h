/* For fuzzers: seeds are the golden vectors, which are hexadecimal text in lines.  Such an input
 * stands for its bytes; whatever is bred from one is bytes. */
#ifndef WIRE_CORPUS_FUZZ_H
#define WIRE_CORPUS_FUZZ_H

#include <stdbool.h>
#include <string.h>

#include "base/text.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Write the bytes that a hexadecimal text stands for over it; false when it is none. */
static inline bool corpus_fuzz_decode(uint8_t *text, size_t size, size_t *ret_size)
{
	size_t bytes = 0;

	for (size_t i = 0; i < size; bytes++) {
		if (text[i] == '\n' && ++i == size)
			break;
		if (size - i < 2 || hex_decode((struct slice) { text + i, 2 }, text + bytes, 1))
			return false;
		i += 2;
	}
	*ret_size = bytes;
	return size > 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
	(void)seed;
	(void)corpus_fuzz_decode(data, size, &size);
	return LLVMFuzzerMutate(data, size, size_max);
}

#endif

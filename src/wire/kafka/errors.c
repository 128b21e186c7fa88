#include "wire/kafka/errors.h"

#include <stddef.h>

static const struct {
	int16_t code;
	const char *name;
} names[] = {
#define KAFKA_ERROR_ROW(word, code) { code, #word },
	KAFKA_ERRORS(KAFKA_ERROR_ROW)
#undef KAFKA_ERROR_ROW
};

const char *kafka_error_name(int16_t code)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (names[i].code == code)
			return names[i].name;
	}
	return "?";
}

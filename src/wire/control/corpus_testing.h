/* For tests: messages that the official client (1.102.3) and its makers' test server exchanged, as
 * the client printed them; what says something of one machine only is replaced. */
#ifndef WIRE_CONTROL_CORPUS_TESTING_H
#define WIRE_CONTROL_CORPUS_TESTING_H

#include <stdio.h>

#include "base/buf.h"
#include "base/scope.h"

/* The text of test/corpus/control/NAME; the caller ends the buffer. */
static inline struct buf control_corpus(const char *name)
{
	char path[128];
	struct buf text;
	int c;

	buf_init(&text);
	snprintf(path, sizeof(path), "test/corpus/control/%s", name);
	AUTO_FILE file = fopen(path, "r");
	assert_non_null(file);
	while ((c = fgetc(file)) != EOF)
		buf_add_u8(&text, (uint8_t)c);
	assert_true(text.size > 0);
	return text;
}

#endif

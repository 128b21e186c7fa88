/* What a command tells: data on standard output, everything else on standard error. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <jansson.h>

#include "base/arena.h"
#include "cli/command.h"

/* One message for a person: "hanse: " and the text.  What others named cannot steer the
 * terminal: control characters other than newline become '?'. */
void say(const char *format, ...) PRINTF_LIKE(1, 2);

/* The same without "hanse: ": a further line. */
void say_more(const char *format, ...) PRINTF_LIKE(1, 2);

/* The same in place: what is cut in the middle of a character is no text. */
void output_make_printable(uint8_t *p, size_t size);

/* A copy without control characters. */
struct slice output_printable(struct arena *a, struct slice s);

/* Print the document and release it; COMMAND_DONE, or COMMAND_REFUSED after saying why. */
enum command_status output_json(json_t *document);

/* Whether all that was printed could be; otherwise COMMAND_REFUSED, after saying so once. */
enum command_status output_flush(void);

/* A JSON string; bytes that are not UTF-8 become '?'.  Null where the slice is. */
json_t *output_json_text(struct slice s);

/* Gives `object` the member `name`, a text as above, and where its bytes are no text also
 * `name`_base64, with which they can be had back. */
void output_json_bytes(json_t *object, const char *name, struct slice bytes);

/* A number, or null where it is negative: "not known". */
json_t *output_json_offset(int64_t offset);

#endif

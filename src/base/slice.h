/* A view of bytes somebody else owns. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
	const uint8_t *data;
	size_t size;
};

/* For string literals only. */
#define SLICE(literal) ((struct slice) { (const uint8_t *)("" literal), sizeof(literal) - 1 })

/* For printf: printf("%.*s", SLICE_ARG(s)). */
#define SLICE_ARG(s) ((s).size > INT32_MAX ? INT32_MAX : (int)(s).size), ((const char *)(s).data)

static inline struct slice slice_from(const char *text)
{
	return (struct slice) { (const uint8_t *)text, strlen(text) };
}

static inline bool slice_equal(struct slice a, struct slice b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Lexicographic order of unsigned bytes; <0, 0, >0. */
static inline int slice_compare(struct slice a, struct slice b)
{
	size_t common = a.size < b.size ? a.size : b.size;
	int order = common ? memcmp(a.data, b.data, common) : 0;

	return order ? order : (a.size > b.size) - (a.size < b.size);
}

static inline bool slice_starts_with(struct slice s, struct slice prefix)
{
	return s.size >= prefix.size && slice_equal((struct slice) { s.data, prefix.size }, prefix);
}

/* The part from `offset` (clamped to the end) of at most `size` bytes. */
static inline struct slice slice_part(struct slice s, size_t offset, size_t size)
{
	if (offset > s.size)
		offset = s.size;
	if (size > s.size - offset)
		size = s.size - offset;
	return (struct slice) { offset ? s.data + offset : s.data, size };
}

/* What stands before the first `separator`, which goes with it; all of it when there is none. */
static inline struct slice slice_cut(struct slice *rest, char separator)
{
	const uint8_t *at =
		rest->size ? (const uint8_t *)memchr(rest->data, separator, rest->size) : NULL;
	struct slice first = slice_part(*rest, 0, at ? (size_t)(at - rest->data) : rest->size);

	*rest = slice_part(*rest, first.size + (at ? 1 : 0), rest->size);
	return first;
}

/* Without those of the characters of `spaces` that stand at its ends. */
static inline struct slice slice_trim(struct slice s, const char *spaces)
{
	const size_t count = strlen(spaces);

	while (s.size > 0 && memchr(spaces, s.data[0], count))
		s = slice_part(s, 1, s.size);
	while (s.size > 0 && memchr(spaces, s.data[s.size - 1], count))
		s.size--;
	return s;
}

#endif

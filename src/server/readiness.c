#include "server/readiness.h"

#include <stdio.h>

/* --- collecting ------------------------------------------------------------------------------- */

static void add(struct readiness *r, struct slice name, bool is_ready, struct slice why)
{
	if (r->count == READINESS_CHECKS_MAX) {
		r->checks[r->count - 1].is_ready = false;
		return;
	}
	struct readiness_check *check = &r->checks[r->count++];
	snprintf(check->name, sizeof(check->name), "%.*s", SLICE_ARG(name));
	snprintf(check->why, sizeof(check->why), "%.*s", SLICE_ARG(why));
	for (char *p = check->why; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	check->is_ready = is_ready;
}

void readiness_add(struct readiness *r, const char *role, const char *part, bool is_ready,
		   const char *why)
{
	char name[READINESS_NAME_BYTES];

	snprintf(name, sizeof(name), "%s%s%s", role, part[0] ? "/" : "", part);
	add(r, slice_from(name), is_ready, slice_from(why));
}

/* --- between processes ------------------------------------------------------------------------ */

void readiness_write(const struct readiness *r, struct buf *out)
{
	for (size_t i = 0; i < r->count; i++)
		buf_add_format(out, "%c%s %s\n", r->checks[i].is_ready ? '+' : '-',
			       r->checks[i].name, r->checks[i].why);
}

static bool is_name(struct slice name)
{
	if (name.size == 0 || name.size >= READINESS_NAME_BYTES)
		return false;
	for (size_t i = 0; i < name.size; i++) {
		uint8_t c = name.data[i];
		if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '/')
			return false;
	}
	return true;
}

enum err readiness_read(struct readiness *r, struct slice text)
{
	size_t before = r->count;

	if (text.size > READINESS_PAGE_BYTES_MAX)
		return ERR_TOO_BIG;
	while (text.size > 0) {
		struct slice why = slice_cut(&text, '\n');
		struct slice name = slice_cut(&why, ' ');
		bool is_ready = name.size > 0 && name.data[0] == '+';

		if (name.size == 0 || (!is_ready && name.data[0] != '-') ||
		    !is_name(slice_part(name, 1, name.size))) {
			r->count = before;
			return ERR_CORRUPT;
		}
		add(r, slice_part(name, 1, name.size), is_ready, why);
	}
	return OK;
}

/* --- answering -------------------------------------------------------------------------------- */

/* "streams" stands for "streams/kafka", too. */
static bool is_part_of(const struct readiness_check *check, struct slice name)
{
	struct slice own = slice_from(check->name);

	return slice_equal(own, name) ||
	       (slice_starts_with(own, name) && own.data[name.size] == '/');
}

static bool has_word(struct slice query, struct slice word)
{
	while (query.size > 0) {
		struct slice value = slice_cut(&query, '&');
		if (slice_equal(slice_cut(&value, '='), word))
			return true;
	}
	return false;
}

static bool is_excluded(const struct readiness_check *check, struct slice query)
{
	while (query.size > 0) {
		struct slice value = slice_cut(&query, '&');
		if (slice_equal(slice_cut(&value, '='), SLICE("exclude")) && value.size > 0 &&
		    is_part_of(check, value))
			return true;
	}
	return false;
}

static void add_line(const struct readiness_check *check, bool is_out, struct buf *out)
{
	if (is_out)
		buf_add_format(out, "[+]%s excluded: ok\n", check->name);
	else if (check->is_ready)
		buf_add_format(out, "[+]%s ok\n", check->name);
	else
		buf_add_format(out, "[-]%s failed: %s\n", check->name, check->why);
}

enum err readiness_answer(const struct readiness *r, const struct readiness_question *q,
			  struct buf *out, bool *ret_is_ready)
{
	bool is_ready = true, is_found = false;
	size_t begin = out->size;

	for (size_t i = 0; i < r->count; i++) {
		const struct readiness_check *check = &r->checks[i];
		bool is_out = is_excluded(check, q->query);

		if (q->only.size > 0 && !is_part_of(check, q->only))
			continue;
		is_found = true;
		is_ready &= is_out || check->is_ready;
		add_line(check, is_out, out);
	}
	if (!is_found) {
		out->size = begin;
		return ERR_NOT_FOUND;
	}
	if (is_ready && !has_word(q->query, SLICE("verbose"))) {
		out->size = begin;
		buf_add_text(out, "ok");
	} else {
		buf_add_format(out, "%s check %s\n", q->word, is_ready ? "passed" : "failed");
	}
	*ret_is_ready = is_ready;
	return OK;
}

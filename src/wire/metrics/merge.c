/* A page is cut where a line begins with "# HELP ": that is a family.  A family of a later page
 * with a name that was there before gives only its samples. */
#include "wire/metrics/merge.h"

#include <assert.h>

#include "base/memory.h"

struct family {
	struct slice name;
	struct slice head;    /* HELP and TYPE */
	struct slice samples; /* whole lines */
};

/* The next line, without its end; false: there is no whole one. */
static bool next_line(struct slice *rest, struct slice *ret)
{
	const uint8_t *end = rest->size ? memchr(rest->data, '\n', rest->size) : NULL;

	if (!end)
		return false;
	*ret = slice_part(*rest, 0, (size_t)(end - rest->data));
	*rest = slice_part(*rest, ret->size + 1, rest->size);
	return true;
}

static bool is_name(struct slice s)
{
	if (s.size == 0 || s.size > METRIC_NAME_BYTES_MAX)
		return false;
	for (size_t i = 0; i < s.size; i++) {
		uint8_t c = s.data[i];
		bool is_letter =
			(c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':';
		if (!is_letter && (i == 0 || c < '0' || c > '9'))
			return false;
	}
	return true;
}

/* "# HELP name text" or "# TYPE name kind". */
static bool read_head(struct slice line, struct slice word, struct slice *ret_name)
{
	if (!slice_starts_with(line, word))
		return false;
	struct slice rest = slice_part(line, word.size, line.size);
	*ret_name = slice_cut(&rest, ' ');
	return is_name(*ret_name);
}

static bool is_suffix(struct slice s)
{
	return s.size == 0 || slice_equal(s, SLICE("_total")) || slice_equal(s, SLICE("_bucket")) ||
	       slice_equal(s, SLICE("_sum")) || slice_equal(s, SLICE("_count"));
}

static bool is_sample(struct slice line, struct slice name)
{
	if (!slice_starts_with(line, name))
		return false;
	size_t size = name.size;
	while (size < line.size && line.data[size] != '{' && line.data[size] != ' ')
		size++;
	return size < line.size && is_suffix(slice_part(line, name.size, size - name.size));
}

/* The first family of *rest; false: there is none. */
static bool next_family(struct slice *rest, struct family *ret)
{
	struct slice line, name, before, page = *rest;

	if (!next_line(&page, &line) || !read_head(line, SLICE("# HELP "), &ret->name) ||
	    !next_line(&page, &line) || !read_head(line, SLICE("# TYPE "), &name) ||
	    !slice_equal(name, ret->name))
		return false;
	ret->head = slice_part(*rest, 0, (size_t)(page.data - rest->data));
	ret->samples = (struct slice) { page.data, 0 };
	for (before = page; next_line(&page, &line); before = page) {
		if (slice_starts_with(line, SLICE("# HELP ")))
			break;
		if (!is_sample(line, ret->name))
			return false;
		ret->samples.size = (size_t)(page.data - ret->samples.data);
	}
	*rest = before;
	return true;
}

enum err metrics_check(struct slice page)
{
	struct family family;
	int count = 0;

	if (page.size > MERGE_PAGE_BYTES_MAX)
		return ERR_TOO_BIG;
	while (page.size > 0) {
		if (!next_family(&page, &family))
			return ERR_CORRUPT;
		if (++count > MERGE_FAMILIES_MAX)
			return ERR_TOO_BIG;
	}
	return OK;
}

/* --- putting together ------------------------------------------------------------------------- */

struct page {
	struct family *families;
	size_t count;
};

static struct page read_page(struct slice text)
{
	struct page page = { memory_take_array(MERGE_FAMILIES_MAX, sizeof(*page.families)), 0 };

	while (page.count < MERGE_FAMILIES_MAX && next_family(&text, &page.families[page.count]))
		page.count++;
	return page;
}

/* Adds the samples of that name; false: there is no such family. */
static bool add_samples(const struct page *page, struct slice name, struct buf *out)
{
	bool is_there = false;

	for (size_t i = 0; i < page->count; i++) {
		if (!slice_equal(page->families[i].name, name))
			continue;
		is_there = true;
		if (out)
			buf_add_slice(out, page->families[i].samples);
	}
	return is_there;
}

static bool was_told(const struct page *pages, size_t count, struct slice name)
{
	for (size_t i = 0; i < count; i++)
		if (add_samples(&pages[i], name, NULL))
			return true;
	return false;
}

void metrics_merge(const struct slice *texts, size_t count, struct buf *out)
{
	struct page pages[MERGE_PAGES_MAX];

	assert(count <= MERGE_PAGES_MAX);
	for (size_t i = 0; i < count; i++)
		pages[i] = read_page(texts[i]);
	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < pages[i].count; k++) {
			const struct family *family = &pages[i].families[k];
			struct page before = { pages[i].families, k };

			if (was_told(pages, i, family->name) || was_told(&before, 1, family->name))
				continue;
			buf_add_slice(out, family->head);
			for (size_t j = i; j < count; j++)
				add_samples(&pages[j], family->name, out);
		}
	}
	for (size_t i = 0; i < count; i++)
		memory_free(pages[i].families);
}

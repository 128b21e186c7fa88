#include "store.h"

#include <assert.h>

#include "base/memory.h"

static size_t position(const struct store *s, const char *key)
{
	size_t low = 0, high = s->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(s->objects[middle].key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_at(const struct store *s, size_t i, const char *key)
{
	return i < s->count && strcmp(s->objects[i].key, key) == 0;
}

void store_done(struct store *s)
{
	for (size_t i = 0; i < s->count; i++)
		blob_unref(&s->objects[i].body);
	memory_free(s->objects);
	*s = (struct store) { 0 };
}

struct blob *store_find(const struct store *s, const char *key)
{
	size_t i = position(s, key);

	return is_at(s, i, key) ? s->objects[i].body : NULL;
}

static enum err put(struct store *s, const char *key, struct blob *body, bool only_new)
{
	size_t i = position(s, key);

	if (is_at(s, i, key)) {
		if (!slice_equal(blob_slice(s->objects[i].body), blob_slice(body)) && !only_new)
			s->reused_name = true;
		return only_new ? ERR_EXISTS : OK;
	}
	if (s->count == s->capacity) {
		s->capacity = s->capacity ? 2 * s->capacity : 64;
		s->objects = memory_grow(s->objects, s->capacity * sizeof(*s->objects));
	}
	memmove(s->objects + i + 1, s->objects + i, (s->count - i) * sizeof(*s->objects));
	memset(&s->objects[i], 0, sizeof(s->objects[i]));
	memcpy(s->objects[i].key, key, strlen(key) + 1);
	s->objects[i].body = blob_ref(body);
	s->count++;
	return OK;
}

static void list(struct store *s, const struct journal_effect *e, size_t page,
		 struct store_answer *ret)
{
	size_t prefix = strlen(e->key);
	size_t i = position(s, strcmp(e->after, e->key) > 0 ? e->after : e->key);

	if (is_at(s, i, e->after))
		i++;
	ret->keys = memory_take(page * sizeof(*ret->keys));
	for (; i < s->count && strncmp(s->objects[i].key, e->key, prefix) == 0; i++) {
		if (ret->key_count == page) {
			ret->more = true;
			break;
		}
		memcpy(ret->keys[ret->key_count++], s->objects[i].key, JOURNAL_KEY_BYTES);
	}
}

struct store_answer store_run(struct store *s, const struct journal_effect *e, size_t page)
{
	struct store_answer a = { 0 };
	size_t i = position(s, e->key);

	switch (e->kind) {
	case JOURNAL_IO_PUT:
	case JOURNAL_IO_PUT_NEW:
		a.err = put(s, e->key, e->body, e->kind == JOURNAL_IO_PUT_NEW);
		break;
	case JOURNAL_IO_GET:
		if (is_at(s, i, e->key))
			a.body = blob_ref(s->objects[i].body);
		else
			a.err = ERR_NOT_FOUND;
		break;
	case JOURNAL_IO_LIST:
		list(s, e, page, &a);
		break;
	case JOURNAL_IO_DELETE:
		if (!is_at(s, i, e->key))
			break;
		blob_unref(&s->objects[i].body);
		s->count--;
		memmove(s->objects + i, s->objects + i + 1, (s->count - i) * sizeof(*s->objects));
		break;
	case JOURNAL_ADOPTED:
	case JOURNAL_RECORD:
	case JOURNAL_LEADS:
	case JOURNAL_COMMITTED:
	case JOURNAL_CHECKED:
	case JOURNAL_LOST:
	case JOURNAL_FAILED:
		assert(e->kind <= JOURNAL_IO_DELETE);
	}
	return a;
}

void store_answer_done(struct store_answer *a)
{
	blob_unref(&a->body);
	memory_free(a->keys);
	a->keys = NULL;
}

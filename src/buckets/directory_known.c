#include "buckets/directory_known.h"

#include "base/memory.h"

struct known_path {
	size_t size;
	uint8_t text[];
};

/* The directory of `path`: empty for what is in the root. */
static struct slice parent_of(struct slice path)
{
	while (path.size > 0 && path.data[path.size - 1] != '/')
		path.size--;
	if (path.size > 0)
		path.size--;
	return path;
}

void directory_known_init(struct directory_known *k)
{
	map_init(&k->map);
}

void directory_known_done(struct directory_known *k)
{
	size_t cursor = 0;
	struct known_path *known;

	while ((known = map_next(&k->map, &cursor)))
		memory_free(known);
	map_done(&k->map);
}

size_t directory_known_size(const struct directory_known *k, struct slice key)
{
	struct slice path = parent_of(key);

	while (path.size > 0 && !map_get(&k->map, path))
		path = parent_of(path);
	return path.size;
}

void directory_known_add(struct directory_known *k, struct slice key)
{
	struct slice path = parent_of(key);

	for (; path.size > 0 && !map_get(&k->map, path); path = parent_of(path)) {
		struct known_path *known;

		if (k->map.count >= DIRECTORY_KNOWN_MAX) {
			directory_known_done(k);
			directory_known_init(k);
		}
		known = memory_take(sizeof(*known) + path.size);
		known->size = path.size;
		memcpy(known->text, path.data, path.size);
		map_put(&k->map, (struct slice) { known->text, known->size }, known);
	}
}

#include "cli/send_files.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/output.h"

static bool add_file(struct arena *a, const char *path, struct slice name, const struct stat *st,
		     struct list *ret, size_t *count)
{
	if (*count >= SEND_FILES_MAX) {
		say("more than %d files at once: pack them first, as with tar", SEND_FILES_MAX);
		return false;
	}
	struct send_file *f = arena_take(a, sizeof(*f));
	f->path = path;
	f->name = name;
	f->size = (uint64_t)st->st_size;
	list_add(ret, &f->link);
	++*count;
	return true;
}

static bool walk(struct arena *a, const char *path, struct slice name, int depth, bool is_given,
		 struct list *ret, size_t *count);

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted, so that what is sent does not depend on the file system. */
static bool walk_directory(struct arena *a, const char *path, struct slice name, int depth,
			   struct list *ret, size_t *count)
{
	bool is_good = true;

	if (depth >= SEND_DEPTH_MAX) {
		say("%s is too deep", path);
		return false;
	}
	DIR *dir = opendir(path);
	if (!dir) {
		say("%s cannot be read: %s", path, strerror(errno));
		return false;
	}
	size_t size = 0, capacity = 64;
	const char **names = arena_take_array(a, capacity, sizeof(names[0]));
	for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (size == capacity) {
			const char **more = arena_take_array(a, 2 * capacity, sizeof(names[0]));
			memcpy(more, names, size * sizeof(names[0]));
			names = more;
			capacity *= 2;
		}
		names[size++] = arena_text(a, slice_from(e->d_name));
	}
	closedir(dir);
	qsort(names, size, sizeof(names[0]), compare_names);
	for (size_t i = 0; i < size; i++)
		is_good &= walk(a, arena_format(a, "%s/%s", path, names[i]),
				slice_from(arena_format(a, "%.*s/%s", SLICE_ARG(name), names[i])),
				depth + 1, false, ret, count);
	return is_good;
}

static bool walk(struct arena *a, const char *path, struct slice name, int depth, bool is_given,
		 struct list *ret, size_t *count)
{
	struct stat st;

	if ((is_given ? stat(path, &st) : lstat(path, &st)) < 0) {
		say("%s: %s", path, strerror(errno));
		return false;
	}
	if (S_ISDIR(st.st_mode))
		return walk_directory(a, path, name, depth, ret, count);
	if (S_ISREG(st.st_mode))
		return add_file(a, path, name, &st, ret, count);
	say("%s is no file and is left out", path);
	return !is_given;
}

bool send_files_find(struct arena *a, const char *path, struct list *ret, size_t *count)
{
	char real[4096];
	size_t size = strlen(path);

	while (size > 1 && path[size - 1] == '/')
		size--;
	const char *clean = arena_text(a, (struct slice) { (const uint8_t *)path, size });
	const char *slash = strrchr(clean, '/');
	const char *name = slash ? slash + 1 : clean;
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || name[0] == '\0') {
		if (!realpath(clean, real) || strcmp(real, "/") == 0) {
			say("%s has no name to send it by", path);
			return false;
		}
		name = arena_text(a, slice_from(strrchr(real, '/') + 1));
	}
	return walk(a, clean, slice_from(name), 0, true, ret, count);
}

/* hanse receive: takes files out of the inbox of this machine into a directory.
 *
 * A file is there under its name once all of it is, and only then leaves the inbox.  Nothing that
 * was there is written over or followed out of the directory. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/scope.h"
#include "cli/drop_client.h"
#include "cli/output.h"
#include "wire/taildrop.h"

enum { NUMBERS_MAX = 10000, AGAIN_S = 2 };

struct receive {
	const struct command_line *l;
	int dir;
	const char *path; /* of it, for people */
	int fd;		  /* of the file that is coming */
	bool is_full;	  /* it could not be written */
	uint64_t bytes;
	size_t taken, failed;
};

/* --- places in the directory ------------------------------------------------------------------ */
/* The directory of `name`, made where it is missing, and its last part; -1 and errno. */
static int open_parent(const struct receive *r, char *name, const char **ret_last)
{
	int dir = openat(r->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (char *slash; dir >= 0 && (slash = strchr(name, '/')); name = slash + 1) {
		*slash = '\0';
		if (mkdirat(dir, name, 0777) < 0 && errno != EEXIST) {
			close(dir);
			return -1;
		}
		int inner = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		int code = errno;
		close(dir);
		errno = code;
		dir = inner;
	}
	*ret_last = name;
	return dir;
}

/* Gives the file at `from` the name, or one with a number; what it was in `ret`. */
static bool place(const struct receive *r, const char *from, struct slice name, struct buf *ret)
{
	for (unsigned number = 0; number < NUMBERS_MAX; number++) {
		char copy[2 * DROP_NAME_BYTES_MAX];
		const char *last;

		buf_clear(ret);
		if (number)
			drop_name_numbered(name, number, ret);
		else
			buf_add_slice(ret, name);
		buf_add(ret, "", 1);
		ret->size--;
		if (ret->size >= sizeof(copy))
			return false;
		memcpy(copy, ret->data, ret->size + 1);
		AUTO_FD parent = open_parent(r, copy, &last);
		if (parent < 0)
			return false;
		if (renameat2(r->dir, from, parent, last, RENAME_NOREPLACE) == 0)
			return fsync(parent) == 0;
		if (errno == EINVAL && linkat(r->dir, from, parent, last, 0) == 0)
			return unlinkat(r->dir, from, 0) == 0 && fsync(parent) == 0;
		if (errno != EEXIST)
			return false;
	}
	errno = EEXIST;
	return false;
}

/* --- one file --------------------------------------------------------------------------------- */
static bool on_data(void *context, struct slice part)
{
	struct receive *r = context;

	while (part.size > 0) {
		ssize_t got = write(r->fd, part.data, part.size);
		if (got < 0 && errno != EINTR) {
			say("%s cannot be written: %s", r->path, strerror(errno));
			r->is_full = true;
			return false;
		}
		if (got > 0) {
			part = slice_part(part, (size_t)got, part.size);
			r->bytes += (uint64_t)got;
		}
	}
	return true;
}

static enum command_status fetch(struct receive *r, const char *id, const char *temporary,
				 uint64_t size)
{
	char path[64];

	r->fd = openat(r->dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
		       0666);
	if (r->fd < 0) {
		say("%s cannot be written: %s", r->path, strerror(errno));
		return COMMAND_REFUSED;
	}
	r->bytes = 0;
	r->is_full = false;
	snprintf(path, sizeof(path), "/v1/inbox/%.30s", id);
	enum command_status status = drop_ask(r->l, &(struct drop_request) { .method = "GET",
									     .path = path,
									     .body_fd = -1,
									     .on_body = on_data,
									     .context = r });
	if (!status && (r->is_full || r->bytes != size))
		status = COMMAND_REFUSED;
	if (!status && fsync(r->fd) < 0) {
		say("%s cannot be written: %s", r->path, strerror(errno));
		status = COMMAND_REFUSED;
	}
	close(r->fd);
	return status;
}

static enum command_status forget(struct receive *r, const char *id)
{
	char path[64];

	snprintf(path, sizeof(path), "/v1/inbox/%.30s", id);
	return drop_ask(r->l,
			&(struct drop_request) { .method = "DELETE", .path = path, .body_fd = -1 });
}

static void print_taken(struct receive *r, const json_t *item, const struct buf *placed)
{
	struct arena a;
	char size[32];

	arena_init(&a);
	drop_size_text(r->bytes, size);
	const char *from = json_string_value(json_object_get(item, "from"));
	printf("%.*s  %s from %.*s\n", SLICE_ARG(output_printable(&a, buf_slice(placed))), size,
	       SLICE_ARG(output_printable(&a, slice_from(from ? from : "?"))));
	fflush(stdout);
	arena_done(&a);
}

static enum command_status take_file(struct receive *r, const json_t *item)
{
	const char *id = json_string_value(json_object_get(item, "id"));
	const char *name = json_string_value(json_object_get(item, "name"));
	uint64_t size = (uint64_t)json_integer_value(json_object_get(item, "size"));
	char temporary[64];
	struct buf safe, placed;
	const char *why;

	if (!id || !name || drop_name_check(slice_from(name), &why))
		return COMMAND_REFUSED;
	snprintf(temporary, sizeof(temporary), ".hanse-%.30s", id);
	unlinkat(r->dir, temporary, 0); /* of one that was killed */
	buf_init(&safe);
	buf_init(&placed);
	drop_name_for_disk(slice_from(name), command_line_has(r->l, FLAG_KEEP_DOTS), &safe);
	enum command_status status = fetch(r, id, temporary, size);
	if (!status && !place(r, temporary, buf_slice(&safe), &placed)) {
		say("%s/%.*s cannot be made: %s", r->path, SLICE_ARG(buf_slice(&safe)),
		    strerror(errno));
		status = COMMAND_REFUSED;
	}
	if (status)
		unlinkat(r->dir, temporary, 0);
	if (!status) {
		print_taken(r, item, &placed);
		status = forget(r, id);
	}
	buf_done(&safe);
	buf_done(&placed);
	return status;
}

/* --- all of them ------------------------------------------------------------------------------ */
static enum command_status take_all(struct receive *r)
{
	json_t *inbox = NULL;
	enum command_status status = drop_get_json(r->l, "/v1/inbox", &inbox);
	const json_t *items = json_object_get(inbox, "items");

	r->failed = 0;
	for (size_t i = 0; i < json_array_size(items) && status != COMMAND_UNREACHABLE; i++) {
		enum command_status one = take_file(r, json_array_get(items, i));
		r->taken += one == COMMAND_DONE;
		r->failed += one != COMMAND_DONE;
		status = one ? one : status;
	}
	json_decref(inbox);
	return status;
}

/* Events are listened to before the inbox is looked at, so that none is missed between. */
static bool on_event(void *context, struct slice part)
{
	struct receive *r = context;
	bool is_news = memmem(part.data, part.size, "event: file", 11) != NULL;
	bool is_begin = memmem(part.data, part.size, ": listening", 11) != NULL;

	if (!is_news && !is_begin)
		return true;
	enum command_status status = take_all(r);
	if (status == COMMAND_UNREACHABLE)
		return false;
	return command_line_has(r->l, FLAG_FOLLOW) || r->taken == 0;
}

static enum command_status wait_for_files(struct receive *r)
{
	const struct drop_request events = {
		.method = "GET", .path = "/events", .body_fd = -1, .on_body = on_event, .context = r
	};
	bool follows = command_line_has(r->l, FLAG_FOLLOW);
	enum command_status status;

	do {
		status = drop_ask(r->l, &events);
		if (!follows && r->taken > 0)
			return COMMAND_DONE;
		sleep(AGAIN_S);
	} while (follows || status == COMMAND_DONE);
	return status;
}

enum command_status receive_run(const struct command_line *l)
{
	struct receive r = { .l = l, .path = l->argument_count ? l->arguments[0] : "." };

	if (l->argument_count > 1) {
		say("one directory is enough: `hanse receive --help` shows examples");
		return COMMAND_MISUSED;
	}
	AUTO_FD dir = open(r.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r.dir = dir;
	if (dir < 0) {
		say("%s is no directory that can be opened: %s", r.path, strerror(errno));
		return COMMAND_REFUSED;
	}
	if (command_line_has(l, FLAG_WAIT) || command_line_has(l, FLAG_FOLLOW))
		return wait_for_files(&r);
	enum command_status status = take_all(&r);
	if (!status && r.taken == 0)
		say("nothing is in the inbox: --wait waits for a file");
	return status;
}

#include "names/resolved.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/scope.h"

enum { FILE_BYTES_MAX = 64 * 1024, WAIT_STEP_US = 2000 };

#define PROGRAM "resolvectl"

/* --- is it used ------------------------------------------------------------------------------- */

static struct slice read_file(struct arena *a, const char *root, const char *path)
{
	AUTO_FD fd = open(arena_format(a, "%s%s", root, path), O_RDONLY | O_CLOEXEC);
	uint8_t *p = arena_take(a, FILE_BYTES_MAX);
	ssize_t size = fd < 0 ? -1 : read(fd, p, FILE_BYTES_MAX);

	return (struct slice) { p, size < 0 ? 0 : (size_t)size };
}

static struct slice take_word(struct slice *line)
{
	size_t begin = 0, end;

	while (begin < line->size && strchr(" \t\r", line->data[begin]))
		begin++;
	for (end = begin; end < line->size && !strchr(" \t\r", line->data[end]);)
		end++;
	struct slice word = slice_part(*line, begin, end - begin);
	*line = slice_part(*line, end, line->size);
	return word;
}

/* A line of `text` begins with `first` and has one of `words` behind it. */
static bool has_line(struct slice text, const char *first, const char *const *words)
{
	while (text.size > 0) {
		struct slice line = slice_cut(&text, '\n');

		if (!slice_equal(take_word(&line), slice_from(first)))
			continue;
		for (struct slice w = take_word(&line); w.size > 0; w = take_word(&line))
			for (size_t i = 0; words[i]; i++)
				if (slice_equal(w, slice_from(words[i])))
					return true;
	}
	return false;
}

bool resolved_is_used(const char *root)
{
	static const char *const stubs[] = { "127.0.0.53", "127.0.0.54", NULL };
	static const char *const modules[] = { "resolve", NULL };
	struct arena a;

	arena_init(&a);
	bool is_there = access(arena_format(&a, "%s/run/systemd/resolve", root), F_OK) == 0;
	bool is_used = has_line(read_file(&a, root, "/etc/resolv.conf"), "nameserver", stubs) ||
		       has_line(read_file(&a, root, "/etc/nsswitch.conf"), "hosts:", modules);
	arena_done(&a);
	return is_there && is_used;
}

bool resolved_is_own_domain(const char *root, struct slice domain)
{
	/* There the mesh's own domain is found, too: put there by us, or by a person. */
	static const char *const ours[] = { "127.0.0.53", "127.0.0.54", "100.100.100.100", NULL };
	bool is_own = false;
	struct arena a;

	arena_init(&a);
	struct slice text = read_file(&a, root, "/etc/resolv.conf");
	if (has_line(text, "nameserver", ours))
		text = (struct slice) { 0 };
	while (text.size > 0) {
		struct slice line = slice_cut(&text, '\n'), first = take_word(&line);

		if (!slice_equal(first, SLICE("search")) && !slice_equal(first, SLICE("domain")))
			continue;
		for (struct slice w = take_word(&line); w.size > 0; w = take_word(&line))
			is_own |= zone_is_below(w, domain);
	}
	arena_done(&a);
	return is_own;
}

/* --- what to tell it -------------------------------------------------------------------------- */

struct words {
	const char *list[RESOLVED_COMMAND_WORDS_MAX + 1];
	size_t count;
};

static void add_word(struct words *w, const char *word)
{
	if (w->count < RESOLVED_COMMAND_WORDS_MAX)
		w->list[w->count++] = word;
}

static void add_command(struct arena *a, struct resolved_commands *c, const struct words *w)
{
	const char **argv = arena_take_array(a, w->count + 1, sizeof(argv[0]));

	memcpy(argv, w->list, w->count * sizeof(argv[0]));
	c->argv[c->count++] = argv;
}

/* A domain without a tilde is searched in, one with it only says where to ask. */
static void add_domains(struct arena *a, struct words *w, const struct zone *z)
{
	struct slice suffix;

	if (zone_domain(z).size > 0)
		add_word(w, arena_text(a, zone_domain(z)));
	for (size_t i = 0; zone_suffix(z, i, &suffix); i++)
		add_word(w, arena_format(a, "~%.*s", SLICE_ARG(suffix)));
	add_word(w, "~0.e.1.a.c.5.1.1.a.7.d.f.ip6.arpa");
	for (int i = 64; i < 128; i++)
		add_word(w, arena_format(a, "~%d.100.in-addr.arpa", i));
}

void resolved_plan(struct arena *a, const char *device, const struct zone *z,
		   struct resolved_commands *ret)
{
	*ret = (struct resolved_commands) { .count = 0 };
	if (!z) {
		add_command(a, ret,
			    &(struct words) { .list = { PROGRAM, "revert", device }, .count = 3 });
		return;
	}
	struct words domains = { .list = { PROGRAM, "domain", device }, .count = 3 };
	add_domains(a, &domains, z);
	add_command(a, ret,
		    &(struct words) { .list = { PROGRAM, "dns", device, "100.100.100.100",
						"fd7a:115c:a1e0::53" },
				      .count = 5 });
	add_command(a, ret, &domains);
	add_command(a, ret,
		    &(struct words) { .list = { PROGRAM, "default-route", device, "no" },
				      .count = 4 });
}

/* --- telling it ------------------------------------------------------------------------------- */

static enum err wait_for(pid_t pid)
{
	uint64_t end_ms = clock_now_ms() + RESOLVED_TIMEOUT_MS;
	int status;

	for (;;) {
		pid_t got = waitpid(pid, &status, WNOHANG);
		if (got == pid)
			return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? OK : ERR_UNAVAILABLE;
		if (got < 0 && errno != EINTR)
			return ERR_UNAVAILABLE;
		if (clock_now_ms() > end_ms) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			return ERR_TIMEOUT;
		}
		usleep(WAIT_STEP_US);
	}
}

enum err resolved_run(const struct resolved_commands *c)
{
	posix_spawn_file_actions_t actions;
	enum err err = OK;

	posix_spawn_file_actions_init(&actions);
	for (int fd = 0; fd < 3; fd++)
		posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
	for (size_t i = 0; i < c->count && !err; i++) {
		pid_t pid;
		char *const *argv = (char *const *)(uintptr_t)c->argv[i];
		int code = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);

		err = code ? err_from_errno(code) : wait_for(pid);
	}
	posix_spawn_file_actions_destroy(&actions);
	return err;
}

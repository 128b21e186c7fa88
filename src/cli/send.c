/* hanse send: files and folders into the inbox of another machine, at once if it is there, and
 * through the queue of the drop process if it is not. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/scope.h"
#include "cli/drop_client.h"
#include "cli/mesh.h"
#include "cli/output.h"
#include "cli/send_files.h"
#include "drop/push.h"
#include "loop/timer.h"
#include "wire/taildrop.h"

enum { ATTEMPTS_MAX = 3, AGAIN_MS = 1000, SHOW_MS = 200 };

struct send {
	struct task task;
	const struct command_line *l;
	struct loop *loop;
	struct arena arena;
	struct list files;
	size_t count, sent, queued, failed;
	uint64_t bytes;
	struct slice to; /* the name of the machine */
	struct push_target target;
	bool is_away; /* nobody is there: into the queue */
	bool shows;   /* progress, on a terminal */
	struct send_file *file;
	int fd;
	int attempts;
	char token[ITEM_ID_BYTES]; /* of the file */
	uint64_t began_ms;
	struct push push;
	struct sleep sleep;
	struct timer show;
};

/* --- what a person sees ----------------------------------------------------------------------- */
static void clear_line(const struct send *s)
{
	if (s->shows)
		fputs("\r\033[K", stderr);
}

static void show_progress(struct send *s)
{
	uint64_t ms = clock_now_ms() - s->began_ms, moved = s->push.sent - s->push.offset;
	char done[32], size[32], speed[32];
	struct arena a;

	drop_size_text(s->push.sent, done);
	drop_size_text(s->file->size, size);
	drop_size_text(ms ? moved * 1000 / ms : 0, speed);
	arena_init(&a);
	clear_line(s);
	fprintf(stderr, "%.*s  %3llu%%  %s of %s  %s/s",
		SLICE_ARG(output_printable(&a, s->file->name)),
		(unsigned long long)(s->file->size ? s->push.sent * 100 / s->file->size : 100),
		done, size, speed);
	fflush(stderr);
	arena_done(&a);
}

static void on_show(struct timer *t)
{
	struct send *s = CONTAINER(t, struct send, show);

	show_progress(s);
	timer_set(t, s->loop, loop_now_ms(s->loop) + SHOW_MS, on_show);
}

static void print_sent(struct send *s)
{
	char size[32], kept[48] = "";

	drop_size_text(s->file->size, size);
	if (s->push.offset > 0) {
		drop_size_text(s->push.offset, kept);
		memmove(kept + 2, kept, strlen(kept) + 1);
		memcpy(kept, ", ", 2);
	}
	clear_line(s);
	printf("%.*s  %s%s%s\n", SLICE_ARG(output_printable(&s->arena, s->file->name)), size, kept,
	       kept[0] ? " of it were there" : "");
	fflush(stdout);
}

static void say_failure(struct send *s)
{
	const char *why = s->push.task.why;

	clear_line(s);
	say("%.*s was not sent: %s", SLICE_ARG(s->file->name),
	    why[0] ? why : err_name(s->push.task.err));
}

/* --- the queue -------------------------------------------------------------------------------- */
static void enqueue(struct send *s)
{
	struct buf path;

	clear_line(s);
	buf_init(&path);
	buf_add_text(&path, "/v1/queue/");
	drop_name_encode(s->to, false, &path);
	buf_add_text(&path, "/");
	drop_name_encode(s->file->name, false, &path);
	buf_add(&path, "", 1);
	enum command_status status =
		drop_ask(s->l, &(struct drop_request) { .method = "POST",
							.path = (const char *)path.data,
							.body_fd = s->fd,
							.body_bytes = s->file->size });
	buf_done(&path);
	s->queued += status == COMMAND_DONE;
	s->failed += status != COMMAND_DONE;
}

/* --- one file after the other ----------------------------------------------------------------- */
enum { SEND_NEXT, SEND_PUSHED, SEND_RESTED, SEND_PLACES };
static const char *const send_places[] = { "next", "pushed", "rested" };

static enum step push(struct send *s)
{
	s->began_ms = clock_now_ms();
	push_start(&s->push, &s->task, &s->target, s->file->name, s->token, s->fd, s->file->size);
	if (s->shows)
		timer_set(&s->show, s->loop, loop_now_ms(s->loop) + SHOW_MS, on_show);
	return task_wait(&s->task, SEND_PUSHED);
}

static void end_file(struct send *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->file = NULL;
}

static bool open_file(struct send *s)
{
	struct list *node = list_pop(&s->files);
	const char *why;

	if (!node)
		return false;
	s->file = CONTAINER(node, struct send_file, link);
	s->attempts = 0;
	item_draw_id(clock_wall_ms(), s->token);
	s->fd = open(s->file->path, O_RDONLY | O_CLOEXEC);
	if (s->fd < 0)
		say("%s: %s", s->file->path, strerror(errno));
	else if (drop_name_check(s->file->name, &why))
		say("%s is not sent: its name %s", s->file->path, why);
	else if (!s->target.takes_folders && !s->is_away &&
		 memchr(s->file->name.data, '/', s->file->name.size))
		say("%s is not sent: %.*s takes no folders; pack it first, as with tar",
		    s->file->path, SLICE_ARG(s->to));
	else
		return true;
	s->failed++;
	end_file(s);
	return true;
}

static enum step next(struct send *s)
{
	while (open_file(s)) {
		if (!s->file)
			continue;
		if (!s->is_away)
			return push(s);
		enqueue(s);
		end_file(s);
	}
	return task_done(&s->task, OK);
}

static bool is_worth_another(enum err err)
{
	return err == ERR_UNAVAILABLE || err == ERR_TIMEOUT || err == ERR_IO || err == ERR_BUSY;
}

static enum step pushed(struct send *s)
{
	enum err err = s->push.task.err;

	timer_clear(&s->show);
	if (is_worth_another(err) && ++s->attempts < ATTEMPTS_MAX) {
		sleep_start(&s->sleep, &s->task, loop_now_ms(s->loop) + AGAIN_MS);
		return task_wait(&s->task, SEND_RESTED);
	}
	if (err == OK) {
		s->sent++;
		s->bytes += s->file->size;
		print_sent(s);
	} else if (is_worth_another(err)) {
		s->is_away = err != ERR_BUSY;
		enqueue(s);
	} else {
		s->failed++;
		say_failure(s);
	}
	end_file(s);
	return next(s);
}

static enum step send_step(struct task *t)
{
	struct send *s = CONTAINER(t, struct send, task);

	if (t->children > 0)
		return task_wait(t, t->at);
	switch (t->at) {
	case SEND_NEXT:
		return next(s);
	case SEND_PUSHED:
		return pushed(s);
	case SEND_RESTED:
		return push(s);
	}
	abort();
}

static const struct task_kind send_kind = {
	.name = "send",
	.places = send_places,
	.place_count = SEND_PLACES,
	.step = send_step,
};

/* --- where to --------------------------------------------------------------------------------- */
static int add_text(const char *text, size_t size, void *context)
{
	buf_add(context, text, size);
	return 0;
}

static enum command_status read_mesh(const struct command_line *l, struct arena *a,
				     struct mesh_view *ret)
{
	json_t *netmap = NULL;
	struct buf text;
	enum command_status status =
		local_request(l, "mesh.sock", "GET", "/v1/netmap", NULL, 0, &netmap);

	if (status)
		return status;
	buf_init(&text);
	if (json_dump_callback(netmap, add_text, &text, JSON_COMPACT) ||
	    mesh_view_parse(a, buf_slice(&text), ret)) {
		say("the mesh process does not answer as expected");
		status = COMMAND_UNREACHABLE;
	}
	buf_done(&text);
	json_decref(netmap);
	return status;
}

static enum command_status find_receiver(struct send *s, const char *word)
{
	struct mesh_view view;
	size_t size = strlen(word);

	if (size < 2 || word[size - 1] != ':') {
		say("the last word is the machine it goes to, with a colon, as in phone:");
		return COMMAND_MISUSED;
	}
	struct slice name = { (const uint8_t *)word, size - 1 };
	enum command_status status = read_mesh(s->l, &s->arena, &view);
	if (status)
		return status;
	const struct mesh_view_machine *m = mesh_view_find_name(&view, name);
	if (!m) {
		say("no machine of the mesh is called %.*s: `hanse status` lists them",
		    SLICE_ARG(name));
		return COMMAND_NOT_FOUND;
	}
	s->to = m->name;
	enum err err = push_find_target(m, &s->target);
	s->is_away = err != OK || !m->is_online;
	return COMMAND_DONE;
}

/* --- the queue, for people -------------------------------------------------------------------- */
static enum command_status list_queue(const struct command_line *l)
{
	json_t *queue = NULL;
	struct arena a;
	enum command_status status = drop_get_json(l, "/v1/queue", &queue);

	if (status)
		return status;
	if (command_line_has(l, FLAG_JSON))
		return output_json(queue);
	arena_init(&a);
	drop_print_queue(&a, json_object_get(queue, "items"));
	arena_done(&a);
	json_decref(queue);
	return COMMAND_DONE;
}

static enum command_status cancel(const struct command_line *l, const char *id)
{
	char path[64];

	if (strspn(id, "0123456789abcdef") != strlen(id) || strlen(id) > 30) {
		say("\"%.40s\" is no id of a file that waits: `hanse send --list` shows them", id);
		return COMMAND_MISUSED;
	}
	snprintf(path, sizeof(path), "/v1/queue/%s", id);
	return drop_ask(l,
			&(struct drop_request) { .method = "DELETE", .path = path, .body_fd = -1 });
}

/* --- the command ------------------------------------------------------------------------------ */
static enum command_status report(const struct send *s)
{
	char size[32];

	drop_size_text(s->bytes, size);
	if (s->sent > 1)
		say("%zu files, %s, are with %.*s", s->sent, size, SLICE_ARG(s->to));
	if (s->queued > 0)
		say("%zu %s for %.*s, and %s sent when it is back: `hanse send --list` shows it",
		    s->queued, s->queued == 1 ? "file waits" : "files wait", SLICE_ARG(s->to),
		    s->queued == 1 ? "is" : "are");
	return s->failed ? COMMAND_REFUSED : COMMAND_DONE;
}

static enum command_status send_all(struct send *s)
{
	const struct command_line *l = s->l;
	bool is_good = true;

	enum command_status status = find_receiver(s, l->arguments[l->argument_count - 1]);
	for (int i = 0; i + 1 < l->argument_count && !status; i++)
		is_good &= send_files_find(&s->arena, l->arguments[i], &s->files, &s->count);
	if (status)
		return status;
	if (!is_good)
		return COMMAND_REFUSED;
	s->loop = loop_new(0);
	s->shows = isatty(STDERR_FILENO);
	task_start_root(&s->task, &send_kind, s->loop);
	loop_run(s->loop);
	loop_free(s->loop);
	return report(s);
}

enum command_status send_run(const struct command_line *l)
{
	struct send s = { .l = l, .fd = -1 };

	if (command_line_has(l, FLAG_LIST))
		return list_queue(l);
	if (command_line_has(l, FLAG_CANCEL))
		return cancel(l, command_line_value(l, FLAG_CANCEL, ""));
	if (l->argument_count < 2) {
		say("what goes where? as in `hanse send photo.jpg phone:`");
		return COMMAND_MISUSED;
	}
	arena_init(&s.arena);
	list_init(&s.files);
	enum command_status status = send_all(&s);
	arena_done(&s.arena);
	return status;
}

/* The life of a role:
 *
 *	        start_role          reap         its last lines are read
 *	waiting ----------> running ----> ended ------------------------> over, when all stops
 *	   ^                                |
 *	   +----------- back-off -----------+
 */
#include "server/supervisor.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "loop/stream.h"
#include "loop/timer.h"

enum {
	STATUS_FD = 3, /* in the role */
	SECRET_FD = 4, /* in the role */
	FREE_FD = 10,  /* in the supervisor: no number of a role's */
	LAST_LINES_MS =
		20, /* between a role's end and reading on: what it wrote last comes first */
	KEEPER_MS = 3600 * 1000,
	EXIT_KILLED = 1,
	EXIT_SECOND_SIGNAL = 130,
};

static const char STATUS_FD_VARIABLE[] = "HANSE_STATUS_FD";
static const char WAS_READY_VARIABLE[] = "HANSE_WAS_READY";
static const char SECRET_FD_VARIABLE[] = "HANSE_SECRET_FD";

enum role_state { ROLE_WAITING, ROLE_RUNNING, ROLE_ENDED, ROLE_OVER };

struct role {
	struct supervisor *supervisor;
	const struct supervisor_role *config;
	struct stream *status;
	struct timer timer; /* restart, or LAST_LINES_MS after the end */
	enum role_state state;
	pid_t pid; /* while running */
	int wait_status;
	uint64_t started_ms;
	uint64_t backoff_ms;
	bool is_ready;
	bool was_ready; /* this life, or an earlier one */
	bool is_fatal;
	bool is_asked; /* to stop */
};

struct supervisor {
	const struct supervisor_config *config;
	struct loop *loop;
	struct role roles[SUPERVISOR_ROLES_MAX];
	struct role *end; /* behind the last one */
	struct timer stop_timer;
	struct timer keeper; /* signals alone do not keep a loop running */
	uint64_t backoff_min_ms, backoff_max_ms, healthy_ms, stop_timeout_ms;
	bool is_stopping;
	int exit_status;
};

static void start_role(struct role *r);

/* --- stopping --------------------------------------------------------------------------------- */
static void stop_when_all_are_over(struct supervisor *s)
{
	for (struct role *r = s->roles; r < s->end; r++)
		if (r->state != ROLE_OVER)
			return;
	timer_clear(&s->stop_timer);
	timer_clear(&s->keeper);
	loop_stop(s->loop);
}

/* With everything a role has started. */
static void kill_roles(struct supervisor *s)
{
	for (struct role *r = s->roles; r < s->end; r++)
		if (r->state == ROLE_RUNNING)
			kill(-r->pid, SIGKILL);
}

/* One after the other, the last first: a role may need an earlier one to finish what it began.  A
 * role that said FATAL exits by itself, with a status that is not to be spoiled. */
static void ask_next_to_stop(struct supervisor *s)
{
	bool is_waiting = false;

	for (struct role *r = s->end; r-- > s->roles;) {
		if (r->state == ROLE_RUNNING && !r->is_fatal && !r->is_asked)
			kill(r->pid, SIGTERM);
		if (r->state != ROLE_OVER)
			r->is_asked = is_waiting = true;
		if (is_waiting && !r->config->stops_with_previous)
			return;
	}
}

static void on_stop_timeout(struct timer *t)
{
	struct supervisor *s = CONTAINER(t, struct supervisor, stop_timer);

	for (struct role *r = s->roles; r < s->end; r++)
		if (r->state == ROLE_RUNNING)
			log_warn("%s did not stop in %llu ms and is killed", r->config->name,
				 (unsigned long long)s->stop_timeout_ms);
	if (s->exit_status == 0)
		s->exit_status = EXIT_KILLED;
	kill_roles(s);
}

static void begin_stop(struct supervisor *s)
{
	if (s->is_stopping)
		return;
	s->is_stopping = true;
	timer_set(&s->stop_timer, s->loop, loop_now_ms(s->loop) + s->stop_timeout_ms,
		  on_stop_timeout);
	for (struct role *r = s->roles; r < s->end; r++) {
		if (r->state != ROLE_WAITING)
			continue; /* its end is still to come */
		timer_clear(&r->timer);
		r->state = ROLE_OVER;
	}
	ask_next_to_stop(s);
	stop_when_all_are_over(s);
}

static void on_stop_signal(void *context, int number)
{
	struct supervisor *s = context;

	(void)number;
	if (!s->is_stopping) {
		begin_stop(s);
		return;
	}
	s->exit_status = EXIT_SECOND_SIGNAL;
	kill_roles(s);
}

static void on_dump_signal(void *context, int number)
{
	struct supervisor *s = context;

	for (struct role *r = s->roles; r < s->end; r++)
		if (r->state == ROLE_RUNNING && r->is_ready) /* earlier it would not expect it */
			kill(r->pid, number);
}

/* --- the end of a role ------------------------------------------------------------------------ */
static void explain_end(const struct role *r, char *ret, size_t size)
{
	if (WIFSIGNALED(r->wait_status))
		snprintf(ret, size, "%s was ended by signal %d (%s)", r->config->name,
			 WTERMSIG(r->wait_status), strsignal(WTERMSIG(r->wait_status)));
	else
		snprintf(ret, size, "%s exited with status %d", r->config->name,
			 WEXITSTATUS(r->wait_status));
}

static void on_backoff_over(struct timer *t)
{
	start_role(CONTAINER(t, struct role, timer));
}

/* A role that is only just starting dies of the signal that asks it. */
static bool has_ended_well(const struct role *r)
{
	return WIFSIGNALED(r->wait_status) ? WTERMSIG(r->wait_status) == SIGTERM
					   : WEXITSTATUS(r->wait_status) == 0;
}

static void restart_later(struct role *r, const char *what)
{
	struct supervisor *s = r->supervisor;
	uint64_t now_ms = loop_now_ms(s->loop);

	if (now_ms - r->started_ms >= s->healthy_ms)
		r->backoff_ms = s->backoff_min_ms;
	log_error("%s; it is restarted in %llu ms. If that repeats, read its last lines above",
		  what, (unsigned long long)r->backoff_ms);
	r->state = ROLE_WAITING;
	timer_set(&r->timer, s->loop, now_ms + r->backoff_ms, on_backoff_over);
	r->backoff_ms *= 2;
	if (r->backoff_ms > s->backoff_max_ms)
		r->backoff_ms = s->backoff_max_ms;
}

static void finish_role(struct timer *t)
{
	struct role *r = CONTAINER(t, struct role, timer);
	struct supervisor *s = r->supervisor;
	int status = WIFEXITED(r->wait_status) ? WEXITSTATUS(r->wait_status) : 0;
	char what[128];

	if (r->status)
		stream_close(r->status);
	r->status = NULL;
	r->is_ready = false;
	explain_end(r, what, sizeof(what));
	if (r->is_fatal || status == EX_CONFIG || status == EX_USAGE) {
		if (!r->is_fatal)
			log_error("%s; everything stops", what);
		if (s->exit_status == 0 || s->exit_status == EXIT_KILLED)
			s->exit_status = status ? status : EX_CONFIG;
		r->state = ROLE_OVER;
		begin_stop(s);
		ask_next_to_stop(s);
	} else if (s->is_stopping) {
		if (!has_ended_well(r) && s->exit_status == 0) {
			log_error("%s while it stopped", what);
			s->exit_status = EXIT_KILLED;
		}
		r->state = ROLE_OVER;
		ask_next_to_stop(s);
	} else {
		restart_later(r, what);
		return;
	}
	stop_when_all_are_over(s);
}

static void on_child_signal(void *context, int number)
{
	struct supervisor *s = context;

	(void)number;
	for (struct role *r = s->roles; r < s->end; r++) {
		if (r->state != ROLE_RUNNING || waitpid(r->pid, &r->wait_status, WNOHANG) != r->pid)
			continue;
		r->state = ROLE_ENDED;
		timer_set(&r->timer, s->loop, loop_now_ms(s->loop) + LAST_LINES_MS, finish_role);
	}
}

/* --- what a role says ------------------------------------------------------------------------- */
static void take_line(struct role *r, struct slice line)
{
	const struct supervisor_config *config = r->supervisor->config;
	char text[STATUS_LINE_BYTES_MAX + 1];

	memcpy(text, line.data, line.size);
	text[line.size] = 0;
	for (size_t i = 0; i < line.size; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			text[i] = '?';
	char *rest = strchr(text, ' ');
	if (rest)
		*rest++ = 0;
	else
		rest = text + line.size;

	if (strcmp(text, "READY") == 0) {
		r->is_ready = r->was_ready = true;
		if (config->on_ready)
			config->on_ready(config->context, r->config->name, rest);
	} else if (strcmp(text, "STATUS") == 0) {
		if (config->on_status)
			config->on_status(config->context, r->config->name, rest);
	} else if (strcmp(text, "ASKING") == 0) {
		if (config->on_asking)
			config->on_asking(config->context, r->config->name, rest);
	} else if (strcmp(text, "FATAL") == 0 || strcmp(text, "DENIED") == 0) {
		r->is_fatal = true;
		if (text[0] == 'D' && config->on_denied)
			config->on_denied(config->context, r->config->name, rest);
		if (config->on_fatal)
			config->on_fatal(config->context, r->config->name, rest);
		else
			log_error("%s cannot serve: %s", r->config->name, rest);
		begin_stop(r->supervisor);
	} else {
		log_warn("%s wrote an unknown word to the supervisor: %s", r->config->name, text);
	}
}

static void on_status_readable(void *context, struct stream *s)
{
	struct role *r = context;

	for (;;) {
		struct slice inbox = stream_inbox(s);
		const uint8_t *end = inbox.size ? memchr(inbox.data, '\n', inbox.size) : NULL;
		if (!end) {
			if (inbox.size > STATUS_LINE_BYTES_MAX)
				stream_consume(s, inbox.size);
			return;
		}
		size_t size = (size_t)(end - inbox.data);
		if (size <= STATUS_LINE_BYTES_MAX)
			take_line(r, slice_part(inbox, 0, size));
		stream_consume(s, size + 1);
	}
}

static void on_status_end(void *context, struct stream *s, enum err err)
{
	struct role *r = context;

	(void)err;
	stream_close(s);
	r->status = NULL; /* the signal tells of the end of the process */
}

/* --- the start of a role ---------------------------------------------------------------------- */
static const struct stream_owner status_owner = {
	.on_readable = on_status_readable,
	.on_end = on_status_end,
};

enum { VARIABLES = 3, VARIABLE_BYTES = 32 };

struct role_environment {
	char variables[VARIABLES][VARIABLE_BYTES];
	char **all; /* made before the fork, freed with memory_free */
};

static bool is_variable(const char *entry, const char *name)
{
	return strncmp(entry, name, strlen(name)) == 0 && entry[strlen(name)] == '=';
}

/* The environment with HANSE_STATUS_FD, and perhaps HANSE_SECRET_FD and HANSE_WAS_READY. */
static void make_environment(struct role_environment *e, bool has_secret, bool was_ready)
{
	size_t count = 0, used = 0;

	while (environ[count])
		count++;
	e->all = memory_take_array(count + VARIABLES + 1, sizeof(*e->all));
	for (size_t i = 0; i < count; i++)
		if (!is_variable(environ[i], STATUS_FD_VARIABLE) &&
		    !is_variable(environ[i], SECRET_FD_VARIABLE) &&
		    !is_variable(environ[i], WAS_READY_VARIABLE))
			e->all[used++] = environ[i];
	snprintf(e->variables[0], VARIABLE_BYTES, "%s=%d", STATUS_FD_VARIABLE, STATUS_FD);
	e->all[used++] = e->variables[0];
	snprintf(e->variables[1], VARIABLE_BYTES, "%s=%d", SECRET_FD_VARIABLE, SECRET_FD);
	if (has_secret)
		e->all[used++] = e->variables[1];
	snprintf(e->variables[2], VARIABLE_BYTES, "%s=yes", WAS_READY_VARIABLE);
	if (was_ready)
		e->all[used] = e->variables[2];
}

/* A pipe that holds the secret, above all numbers of a role; -1: none, see errno. */
static int open_secret(struct slice secret)
{
	int fds[2], fd, code;

	assert(secret.size <= SUPERVISOR_SECRET_BYTES_MAX);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	fd = fcntl(fds[0], F_DUPFD_CLOEXEC, FREE_FD);
	if (fd >= 0 && write(fds[1], secret.data, secret.size) != (ssize_t)secret.size) {
		code = errno;
		close(fd);
		errno = code;
		fd = -1;
	}
	code = errno;
	close(fds[0]);
	close(fds[1]);
	errno = code;
	return fd;
}

/* Between fork and exec: system calls only. */
static _Noreturn void become_role(const struct role *r, pid_t supervisor, int fd, int secret_fd,
				  char **environment)
{
	const char *program = r->supervisor->config->program;
	static const char fatal[] = "FATAL the program cannot be executed\n";
	sigset_t none;

	/* Its end ends us; if it ended before this line, nobody would tell. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != supervisor)
		_exit(EX_OSERR);
	setpgid(0, 0); /* a terminal's interrupt is for the supervisor, which passes it on */
	for (int number = 1; number < SIGRTMIN; number++)
		signal(number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (fd == STATUS_FD)
		fcntl(fd, F_SETFD, 0);
	else
		dup2(fd, STATUS_FD);
	if (secret_fd >= 0)
		dup2(secret_fd, SECRET_FD);
	execve(program ? program : "/proc/self/exe", (char *const *)(uintptr_t)r->config->argv,
	       environment);
	ssize_t written = write(STATUS_FD, fatal, sizeof(fatal) - 1);
	(void)written;
	_exit(EX_CONFIG);
}

static void close_secret(int fd)
{
	int code = errno;

	if (fd >= 0)
		close(fd);
	errno = code;
}

static bool spawn(struct role *r)
{
	struct supervisor *s = r->supervisor;
	struct role_environment environment;
	int fds[2], secret_fd = -1;

	if (r->config->secret.size > 0) {
		secret_fd = open_secret(r->config->secret);
		if (secret_fd < 0)
			return false;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
		close_secret(secret_fd);
		return false;
	}
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	make_environment(&environment, secret_fd >= 0, r->was_ready);
	pid_t supervisor = getpid();
	/* A signal that met libuv's handlers in the child would be told to the parent's loop. */
	sigset_t all, before;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid_t pid = fork();
	if (pid == 0)
		become_role(r, supervisor, fds[1], secret_fd, environment.all);
	int code = errno;
	sigprocmask(SIG_SETMASK, &before, NULL);
	memory_free(environment.all);
	close_secret(secret_fd);
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		errno = code;
		return false;
	}
	setpgid(pid, pid); /* whoever of the two is first */
	r->pid = pid;
	r->state = ROLE_RUNNING;
	r->status = stream_open_fd(s->loop, fds[0], r->config->name);
	stream_set_owner(r->status, &status_owner, r);
	return true;
}

static void start_role(struct role *r)
{
	char what[128];

	assert(r->state == ROLE_WAITING && !r->status && !r->supervisor->is_stopping);
	r->started_ms = loop_now_ms(r->supervisor->loop);
	r->is_fatal = false;
	if (spawn(r))
		return;
	snprintf(what, sizeof(what), "cannot start %s: %s", r->config->name, strerror(errno));
	restart_later(r, what);
}

static void keep_running(struct timer *t)
{
	timer_set(t, t->loop, loop_now_ms(t->loop) + KEEPER_MS, keep_running);
}

static uint64_t or_default(uint64_t given, uint64_t otherwise)
{
	return given ? given : otherwise;
}

int supervisor_run(const struct supervisor_config *config)
{
	struct supervisor s = { .config = config, .loop = loop_new(0) };

	assert(config->role_count > 0 && config->role_count <= SUPERVISOR_ROLES_MAX);
	s.backoff_min_ms = or_default(config->backoff_min_ms, SUPERVISOR_BACKOFF_MIN_MS);
	s.backoff_max_ms = or_default(config->backoff_max_ms, SUPERVISOR_BACKOFF_MAX_MS);
	s.healthy_ms = or_default(config->healthy_ms, SUPERVISOR_HEALTHY_MS);
	s.stop_timeout_ms = or_default(config->stop_timeout_ms, SUPERVISOR_STOP_TIMEOUT_MS);
	loop_on_signal(s.loop, SIGCHLD, on_child_signal, &s);
	loop_on_signal(s.loop, SIGTERM, on_stop_signal, &s);
	loop_on_signal(s.loop, SIGINT, on_stop_signal, &s);
	loop_on_signal(s.loop, SIGUSR1, on_dump_signal, &s);
	s.end = s.roles + config->role_count;
	s.keeper.loop = s.loop;
	keep_running(&s.keeper);
	for (struct role *r = s.roles; r < s.end; r++) {
		r->supervisor = &s;
		r->config = &config->roles[r - s.roles];
		r->backoff_ms = s.backoff_min_ms;
		start_role(r);
	}
	loop_run(s.loop);
	loop_free(s.loop);
	return s.exit_status;
}

/* --- the role's side -------------------------------------------------------------------------- */
static int fd_of_variable(const char *name)
{
	const char *value = getenv(name);
	uint64_t fd = 0;

	if (!value || text_to_u64(slice_from(value), INT32_MAX, &fd) != OK)
		return -1;
	fcntl((int)fd, F_SETFD, FD_CLOEXEC);
	return (int)fd;
}

bool supervisor_take_secret(struct buf *ret)
{
	int fd = fd_of_variable(SECRET_FD_VARIABLE);
	uint8_t *to = buf_reserve(ret, SUPERVISOR_SECRET_BYTES_MAX);
	ssize_t got = fd < 0 ? -1 : read(fd, to, SUPERVISOR_SECRET_BYTES_MAX);

	if (fd < 0)
		return false;
	close(fd);
	unsetenv(SECRET_FD_VARIABLE);
	if (got <= 0)
		return false;
	ret->size += (size_t)got;
	return true;
}

bool supervisor_was_ready(void)
{
	return getenv(WAS_READY_VARIABLE);
}

static void tell(const char *word, const char *text)
{
	char line[STATUS_LINE_BYTES_MAX];
	int fd = fd_of_variable(STATUS_FD_VARIABLE);

	if (fd < 0)
		return;
	int size = snprintf(line, sizeof(line) - 1, "%s %s", word, text);
	size_t used = size < (int)sizeof(line) - 1 ? (size_t)size : sizeof(line) - 2;
	for (size_t i = 0; i < used; i++)
		if (line[i] == '\n')
			line[i] = ' ';
	line[used++] = '\n';
	if (send(fd, line, used, MSG_NOSIGNAL) < 0)
		log_debug("the supervisor does not listen: %s", strerror(errno));
}

void supervisor_tell_ready(const char *text)
{
	tell("READY", text);
}

void supervisor_tell_status(const char *text)
{
	tell("STATUS", text);
}

void supervisor_tell_fatal(const char *text)
{
	tell("FATAL", text);
}

void supervisor_tell_denied(const char *text)
{
	tell("DENIED", text);
}

void supervisor_tell_asking(const char *text)
{
	tell("ASKING", text);
}

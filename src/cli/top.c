/* hanse top: what /metrics of nodes says, again and again.
 *
 * For people a screen, drawn with a few ANSI sequences and put back as it was; for scripts one JSON
 * document of two looks a second apart, since rates need two. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/admin_client.h"
#include "cli/output.h"
#include "cli/top_node.h"
#include "cli/top_screen.h"

enum {
	NODES_MAX = 16,
	LOOK_MS = 1000,
	ASK_MS = 5000,
	HTTP_OK = 200,
	SERVE_PORT = 9292,
	UP_PORT = 8644,
	KEY_INTERRUPT = 3, /* what the terminal makes of Ctrl-C while it is raw */
};

#define LOOPBACK "127.0.0.1"

struct node {
	char text[COMMAND_HOST_BYTES + 8], host[COMMAND_HOST_BYTES];
	uint16_t port;
	struct top_page now, before;
	char why[SOCKET_WHY_BYTES]; /* it did not answer */
	bool may_be_absent;	    /* nobody named it */
};

struct top_command {
	struct node nodes[NODES_MAX];
	size_t count;
	struct prices prices;
	bool shows_help;
};

/* --- whom to ask ------------------------------------------------------------------------------ */
static void add_default(struct top_command *t, uint16_t port)
{
	struct node *n = &t->nodes[t->count++];

	n->port = port;
	n->may_be_absent = true;
	snprintf(n->host, sizeof(n->host), LOOPBACK);
	snprintf(n->text, sizeof(n->text), LOOPBACK ":%u", port);
}

static enum command_status find_nodes(struct top_command *t, const struct command_line *l)
{
	struct slice rest = slice_from(command_line_value(l, FLAG_METRICS, ""));

	if (rest.size == 0) {
		add_default(t, SERVE_PORT);
		add_default(t, UP_PORT);
	}
	while (rest.size > 0) {
		struct slice place = slice_cut(&rest, ',');
		struct node *n = &t->nodes[t->count];

		if (t->count == NODES_MAX) {
			say("--metrics names more than %d nodes", NODES_MAX);
			return COMMAND_MISUSED;
		}
		snprintf(n->text, sizeof(n->text), "%.*s", SLICE_ARG(place));
		if (text_host_port(n->text, n->host, sizeof(n->host), &n->port) || n->port == 0) {
			say("--metrics %s is not HOST:PORT", n->text);
			return COMMAND_MISUSED;
		}
		t->count++;
	}
	return COMMAND_DONE;
}

static void look_at(struct node *n)
{
	struct slice body = { 0 };
	struct arena a;
	unsigned status = 0;
	struct buf older = n->before.text;

	arena_init(&a);
	n->why[0] = '\0';
	enum err err =
		admin_get_tcp(&a, n->host, n->port, "/metrics", ASK_MS, &status, &body, n->why);
	if (!err && status != HTTP_OK)
		snprintf(n->why, sizeof(n->why), "it answered with HTTP status %u", status);
	n->before = n->now;
	n->now = (struct top_page) { older, (double)clock_now_us() / 1e6,
				     (double)clock_wall_ms() / 1e3 };
	buf_clear(&n->now.text);
	if (!err && status == HTTP_OK)
		buf_add_slice(&n->now.text, body);
	else if (n->why[0] == '\0')
		snprintf(n->why, sizeof(n->why), "%s", err_name(err));
	arena_done(&a);
}

static size_t look(struct top_command *t)
{
	size_t answered = 0;

	for (size_t i = 0; i < t->count; i++) {
		look_at(&t->nodes[i]);
		answered += t->nodes[i].why[0] == '\0';
	}
	return answered;
}

static json_t *all_json(const struct top_command *t)
{
	json_t *nodes = json_array();

	for (size_t i = 0; i < t->count; i++) {
		const struct node *n = &t->nodes[i];
		bool is_there = n->why[0] == '\0';
		json_t *node;

		if (!is_there && n->may_be_absent)
			continue;
		node = is_there ? top_node_json(&n->now, &n->before, &t->prices) : json_object();
		json_object_set_new(node, "node", json_string(n->text));
		json_object_set_new(node, "why", is_there ? json_null() : json_string(n->why));
		json_array_append_new(nodes, node);
	}
	return json_pack("{s:o}", "nodes", nodes);
}

static enum command_status unreachable(const struct top_command *t)
{
	for (size_t i = 0; i < t->count; i++)
		say("no numbers at %s: %s", t->nodes[i].text, t->nodes[i].why);
	say_more("A node has them at its --metrics: by default that is 127.0.0.1 and the port of "
		 "--kafka plus 200.");
	return COMMAND_UNREACHABLE;
}

/* --- once ------------------------------------------------------------------------------------- */
static enum command_status run_once(struct top_command *t, bool is_json)
{
	struct timespec pause = { .tv_sec = LOOK_MS / 1000, .tv_nsec = LOOK_MS % 1000 * 1000000 };

	if (look(t) == 0)
		return unreachable(t);
	nanosleep(&pause, NULL);
	if (look(t) == 0)
		return unreachable(t);
	json_t *all = all_json(t);
	if (is_json)
		return output_json(all);
	top_screen_print(stdout, all, &(struct top_screen) { .columns = 0 });
	json_decref(all);
	return output_flush();
}

/* --- a screen --------------------------------------------------------------------------------- */
static struct termios terminal; /* as it was */

static void leave_screen(void)
{
	tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
	fputs("\033[?25h\033[?1049l", stdout);
	fflush(stdout);
}

static void end_with(int status)
{
	static const char back[] = "\033[?25h\033[?1049l";

	tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
	ssize_t written = write(STDOUT_FILENO, back, sizeof(back) - 1);
	(void)written;
	_exit(status);
}

static void on_end_signal(int number)
{
	end_with(128 + number);
}

/* Ctrl-C is how it is quit. */
static void on_interrupt(int number)
{
	(void)number;
	end_with(COMMAND_DONE);
}

static bool enter_screen(void)
{
	struct sigaction end = { .sa_handler = on_end_signal };
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &terminal) < 0)
		return false;
	raw = terminal;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO); /* Ctrl-C ends it while a node is asked, too */
	raw.c_cc[VSUSP] = raw.c_cc[VQUIT] = _POSIX_VDISABLE;
	raw.c_cc[VMIN] = raw.c_cc[VTIME] = 0;
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGHUP, &end, NULL);
	end.sa_handler = on_interrupt;
	sigaction(SIGINT, &end, NULL);
	fputs("\033[?1049h\033[?25l", stdout);
	return true;
}

static void draw(const struct top_command *t, size_t answered)
{
	const char *no_color = getenv("NO_COLOR");
	struct top_screen screen = { .columns = 80,
				     .lines = 24,
				     .is_live = true,
				     .has_color = !no_color || no_color[0] == '\0',
				     .shows_help = t->shows_help };
	struct winsize size;
	json_t *all = all_json(t);

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
		screen.columns = size.ws_col;
		screen.lines = size.ws_row;
	}
	screen.has_nobody = answered == 0;
	top_screen_print(stdout, all, &screen);
	fflush(stdout);
	json_decref(all);
}

/* What was pressed until it is time to look again; 0: nothing.  A change of the window is told as a
 * signal, which ends the wait too. */
static int wait_for_key(uint64_t until_ms)
{
	for (;;) {
		struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
		uint64_t now_ms = clock_now_ms();
		unsigned char key;

		if (now_ms >= until_ms)
			return 0;
		if (poll(&in, 1, (int)(until_ms - now_ms)) < 0 && errno != EINTR)
			return 'q';
		if (!(in.revents & (POLLIN | POLLHUP)))
			continue;
		return read(STDIN_FILENO, &key, 1) == 1 ? key : 'q';
	}
}

static enum command_status run_live(struct top_command *t)
{
	size_t answered = look(t);

	if (answered == 0)
		return unreachable(t);
	if (!enter_screen())
		return run_once(t, false);
	for (;;) {
		uint64_t again_ms = clock_now_ms() + LOOK_MS;
		int key;

		draw(t, answered);
		while ((key = wait_for_key(again_ms)) != 0) {
			if (key == 'q' || key == 'Q' || key == KEY_INTERRUPT) {
				leave_screen();
				return COMMAND_DONE;
			}
			if (key == 'h' || key == '?')
				t->shows_help = !t->shows_help;
			draw(t, answered);
		}
		answered = look(t);
	}
}

enum command_status top_run(const struct command_line *l)
{
	static struct top_command t;
	bool is_json = command_line_has(l, FLAG_JSON);

	prices_default(&t.prices);
	enum command_status status = find_nodes(&t, l);
	if (status)
		return status;
	if (is_json || command_line_has(l, FLAG_ONCE) || !isatty(STDOUT_FILENO) ||
	    !isatty(STDIN_FILENO))
		status = run_once(&t, is_json);
	else
		status = run_live(&t);
	for (size_t i = 0; i < t.count; i++) {
		buf_done(&t.nodes[i].now.text);
		buf_done(&t.nodes[i].before.text);
	}
	return status;
}

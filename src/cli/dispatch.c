/* From words to a row of the table of commands, and from there to what it does. */
#include <string.h>

#include "base/text.h"
#include "base/version.h"
#include "cli/command.h"
#include "cli/output.h"

enum { NAMES_MAX = COMMANDS_MAX + 2 }; /* with "help", and an end */

/* --- finding -----------------------------------------------------------------------------------
 */

static int count_words(const struct command *command)
{
	return strchr(command->words, ' ') ? 2 : 1;
}

/* The n-th word of the command, copied into `ret`. */
static void take_word(const struct command *command, int n, char ret[COMMAND_WORD_BYTES])
{
	const char *from = command->words;

	if (n == 1)
		from += strcspn(from, " ") + 1;
	snprintf(ret, COMMAND_WORD_BYTES, "%.*s", (int)strcspn(from, " "), from);
}

bool command_begins_with(const struct command *command, const char *first_word)
{
	char word[COMMAND_WORD_BYTES];

	take_word(command, 0, word);
	return strcmp(word, first_word) == 0;
}

static bool command_is(const struct command *command, const char *const *words, int word_count)
{
	char second[COMMAND_WORD_BYTES];

	if (word_count < count_words(command) || !command_begins_with(command, words[0]))
		return false;
	if (count_words(command) == 1)
		return true;
	take_word(command, 1, second);
	return strcmp(second, words[1]) == 0;
}

const struct command *command_find(const char *const *words, int word_count)
{
	for (size_t i = 0; i < commands_count; i++)
		if (command_is(&commands[i], words, word_count))
			return &commands[i];
	return NULL;
}

static int unknown_command(const struct command_line *l)
{
	char words[COMMANDS_MAX][COMMAND_WORD_BYTES];
	const char *names[NAMES_MAX] = { NULL };
	bool is_group = false;
	int count = 0;

	for (size_t i = 0; i < commands_count; i++)
		is_group |= command_begins_with(&commands[i], l->words[0]);
	for (size_t i = 0; i < commands_count; i++) {
		if (is_group && !command_begins_with(&commands[i], l->words[0]))
			continue;
		take_word(&commands[i], is_group ? 1 : 0, words[count]);
		names[count] = words[count];
		count++;
	}
	if (!is_group)
		names[count] = "help";
	const char *before = is_group ? l->words[0] : "", *space = is_group ? " " : "";
	const char *given = l->words[is_group ? 1 : 0];
	const char *nearest = text_nearest(given, names);
	if (nearest)
		say("unknown command \"%s%s%.60s\": did you mean \"hanse %s%s%s\"?", before, space,
		    given, before, space, nearest);
	else
		say("unknown command \"%s%s%.60s\": `hanse%s%s --help` lists what there is", before,
		    space, given, space, before);
	return COMMAND_MISUSED;
}

/* What could stand there: the flags of the command that was named before, or of its group.
 * `ret_help`: the words that its help is asked with. */
static uint64_t find_flags(const struct command_line *l, const char **ret_help)
{
	const struct command *command = command_find(l->words, l->word_count);
	uint64_t ret = 0;

	*ret_help = "";
	if (command && command->run) {
		*ret_help = command->words;
		return command->flags;
	}
	for (size_t i = 0; i < commands_count && l->word_count > 0; i++)
		if (command_begins_with(&commands[i], l->words[0]))
			ret |= commands[i].flags;
	if (!ret)
		return UINT64_MAX;
	*ret_help = l->words[0];
	return ret;
}

static int unknown_flag(const struct command_line *l)
{
	const char *names[FLAG_COUNT + 1] = { NULL }, *help;
	uint64_t flags = find_flags(l, &help);
	char written[100];
	int count = 0;

	for (int i = 0; i < FLAG_COUNT; i++)
		if (flags & FLAG_BIT(i))
			names[count++] = flag_rows[i].name;
	snprintf(written, sizeof(written), "%.*s", (int)strcspn(l->unknown, "="), l->unknown);
	const char *nearest = text_nearest(written + strspn(written, "-"), names);
	if (nearest)
		say("unknown option \"%s\": did you mean \"--%s\"?", written, nearest);
	else
		say("unknown option \"%s\": `hanse%s%s --help` lists what there is", written,
		    help[0] ? " " : "", help);
	return COMMAND_MISUSED;
}

/* --- running -----------------------------------------------------------------------------------
 */

static bool is_flag_misplaced(const struct command *command, const struct command_line *l)
{
	for (int i = 0; i < FLAG_COUNT; i++) {
		if (!l->values[i] || (command->flags & FLAG_BIT(i)))
			continue;
		if (command->run)
			say("`hanse %s` has no option --%s: `hanse %s --help` shows its options",
			    command->words, flag_rows[i].name, command->words);
		else
			say("the options of `hanse %s` stand after that word", command->words);
		return true;
	}
	return false;
}

static int run(const struct command *command, struct command_line *l)
{
	l->arguments = l->words + count_words(command);
	l->argument_count = l->word_count - count_words(command);
	if (is_flag_misplaced(command, l))
		return COMMAND_MISUSED;
	if (l->argument_count < command->argument_count) {
		say("`hanse %s` needs %s: `hanse %s --help` shows examples", command->words,
		    command->arguments, command->words);
		return COMMAND_MISUSED;
	}
	if (l->argument_count > command->argument_count && !command->takes_more) {
		say("\"%.60s\" is one word too many: `hanse %s --help` shows examples",
		    l->arguments[command->argument_count], command->words);
		return COMMAND_MISUSED;
	}
	for (int i = 0; i < l->argument_count; i++) {
		size_t size = strlen(l->arguments[i]);
		if (size == 0 || size > COMMAND_NAME_BYTES_MAX) {
			say("%s has 1 to %d bytes", command->arguments, COMMAND_NAME_BYTES_MAX);
			return COMMAND_MISUSED;
		}
	}
	return (int)command->run(l);
}

static int help(const struct command_line *l)
{
	char *ask_help[] = { "--help", NULL };

	if (l->word_count == 0) {
		help_print(stdout);
		return COMMAND_DONE;
	}
	const struct command *command = command_find(l->words, l->word_count);
	if (command && !command->run)
		return strcmp(command->words, "up") == 0 ? up_run(ask_help) : serve_run(ask_help);
	if (command) {
		help_print_command(stdout, command);
		return COMMAND_DONE;
	}
	if (l->word_count == 1 && help_print_group(stdout, l->words[0]))
		return COMMAND_DONE;
	return unknown_command(l);
}

static int dispatch(char **argv)
{
	char why[COMMAND_WHY_BYTES];
	struct command_line l;
	int status;

	if (argv[0] && serve_role_run(argv, &status))
		return status;
	if (argv[0] && strcmp(argv[0], "serve") == 0)
		return serve_run(argv + 1);
	if (argv[0] && strcmp(argv[0], "up") == 0)
		return up_run(argv + 1);
	enum err err = command_line_read(&l, argv, why);
	if (err == ERR_NOT_FOUND)
		return unknown_flag(&l);
	if (err) {
		say("%s", why);
		return COMMAND_MISUSED;
	}
	if (command_line_has(&l, FLAG_VERSION) && l.word_count == 0) {
		puts("hanse " HANSE_VERSION);
		return COMMAND_DONE;
	}
	if (l.word_count > 0 && strcmp(l.words[0], "help") == 0) {
		l.values[FLAG_HELP] = "";
		l.word_count--;
		memmove(l.words, l.words + 1, (size_t)l.word_count * sizeof(l.words[0]));
	}
	if (command_line_has(&l, FLAG_HELP) || !argv[0])
		return help(&l);
	if (l.word_count == 0) {
		say("a command is missing: `hanse --help` lists what there is");
		return COMMAND_MISUSED;
	}
	const struct command *command = command_find(l.words, l.word_count);
	if (command)
		return run(command, &l);
	return l.word_count == 1 ? help(&l) : unknown_command(&l);
}

int command_main(char **argv)
{
	int status = dispatch(argv);
	enum command_status printed = output_flush();

	return status == COMMAND_DONE ? (int)printed : status;
}

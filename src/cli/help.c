/* Help is made of the rows of commands and flags, examples first. */
#include <string.h>

#include "cli/command.h"

enum { COLUMN_COMMAND = 28, COLUMN_FLAG = 24 };

static void print_row(FILE *out, const char *words, const char *arguments, int column,
		      const char *text)
{
	int size = (int)(strlen(words) + (arguments[0] ? strlen(arguments) + 1 : 0));

	fprintf(out, "  %s%s%s%*s%s\n", words, arguments[0] ? " " : "", arguments,
		size < column ? column - size : 1, "", text);
}

static void print_commands(FILE *out, const char *first_word)
{
	fputs("Commands:\n", out);
	for (size_t i = 0; i < commands_count; i++) {
		const struct command *command = &commands[i];
		if (!first_word || command_begins_with(command, first_word))
			print_row(out, command->words, command->arguments, COLUMN_COMMAND,
				  command->summary);
	}
}

static void print_flags(FILE *out, uint64_t flags)
{
	fputs("Options:\n", out);
	for (int i = 0; i < FLAG_COUNT; i++) {
		const struct flag_row *row = &flag_rows[i];
		char name[64], help[200];
		if (!(flags & FLAG_BIT(i)))
			continue;
		snprintf(name, sizeof(name), "--%s", row->name);
		snprintf(help, sizeof(help), row->variable ? "%s; also %s" : "%s", row->help,
			 row->variable);
		print_row(out, name, row->argument ? row->argument : "", COLUMN_FLAG, help);
	}
}

void help_print(FILE *out)
{
	fputs("Examples:\n"
	      "  hanse up                                  the first machine of a private network\n"
	      "  hanse up --join hanse-join-1-...          another one; the first prints the key\n"
	      "  hanse ping laptop                         directly or by a relay, and why\n"
	      "  hanse serve                               Kafka, with its records in ./var\n"
	      "  hanse topic create orders --partitions 4\n"
	      "  hanse topic describe orders\n"
	      "  hanse group describe readers              how far each consumer is\n"
	      "  hanse status --json\n"
	      "  hanse restore --bucket file:/mnt/bucket   after every machine was lost\n"
	      "\n"
	      "Usage: hanse COMMAND [OPTION]... [NAME]\n"
	      "\n"
	      "A private network of your own machines, and a Kafka broker whose only storage\n"
	      "is a bucket.\n"
	      "\n",
	      out);
	print_commands(out, NULL);
	fputc('\n', out);
	print_flags(out, FLAG_BIT(FLAG_HELP) | FLAG_BIT(FLAG_VERSION));
	fputs("\n`hanse COMMAND --help` has examples and the options of a command.\n"
	      "The manual is hanse(1).\n",
	      out);
}

bool help_print_group(FILE *out, const char *first_word)
{
	bool is_group = false;

	for (size_t i = 0; i < commands_count; i++) {
		if (!command_begins_with(&commands[i], first_word))
			continue;
		if (!is_group)
			fputs("Examples:\n", out);
		is_group = true;
		fputs(commands[i].examples, out);
	}
	if (!is_group)
		return false;
	fprintf(out, "\nUsage: hanse %s COMMAND [OPTION]... [NAME]\n\n", first_word);
	print_commands(out, first_word);
	fprintf(out, "\n`hanse %s COMMAND --help` has the options of a command.\n", first_word);
	return true;
}

void help_print_command(FILE *out, const struct command *command)
{
	fprintf(out, "Examples:\n%s\nUsage: hanse %s [OPTION]...%s%s\n\n%s.\n%s\n",
		command->examples, command->words, command->arguments[0] ? " " : "",
		command->arguments, command->summary, command->details);
	print_flags(out, command->flags);
	fputs("\nThe manual is hanse(1).\n", out);
}

/* The commands people type: one row each, and one file each. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stdio.h>

#include "cli/command_line.h"

/* What a command exits with; hanse(1) promises these numbers. */
enum command_status {
	COMMAND_DONE = 0,
	COMMAND_REFUSED = 1,	 /* it was refused or failed */
	COMMAND_MISUSED = 2,	 /* the command line was wrong */
	COMMAND_NOT_FOUND = 3,	 /* the topic or group that was named does not exist */
	COMMAND_UNREACHABLE = 4, /* no server, or one that cannot serve now */
};

enum {
	COMMANDS_MAX = 128,
	COMMAND_WORD_BYTES = 16,       /* of one word of a command, with its NUL */
	COMMAND_NAME_BYTES_MAX = 1000, /* of a topic or group; servers allow less */
};

struct command {
	const char *words;     /* "topic create" */
	const char *arguments; /* "NAME", or "" */
	const char *summary;   /* a sentence for lists, without its full stop */
	const char *examples;  /* lines that end in a newline */
	const char *details;   /* lines that end in a newline */
	uint64_t flags;	       /* bits of enum flag */
	int argument_count;
	bool takes_more;					  /* arguments than that */
	enum command_status (*run)(const struct command_line *l); /* NULL: serve_run(), up_run() */
};

extern const struct command commands[];
extern const size_t commands_count;

/* dispatch.c.  NULL: these words are no command. */
const struct command *command_find(const char *const *words, int word_count);
bool command_begins_with(const struct command *command, const char *first_word);

/* Do what the words of argv ask for; returns the exit status. */
int command_main(char **argv);

/* argv after the word "serve" or "up", which have their own options. */
int serve_run(char **argv);
int up_run(char **argv);

/* A process of `hanse serve` or `hanse up`: not for people.  False: argv[0] names none. */
bool serve_role_run(char **argv, int *ret);

/* One file each. */
enum command_status topic_create_run(const struct command_line *l);
enum command_status topic_list_run(const struct command_line *l);
enum command_status topic_describe_run(const struct command_line *l);
enum command_status topic_delete_run(const struct command_line *l);
enum command_status topic_tail_run(const struct command_line *l);
enum command_status topic_config_run(const struct command_line *l);
enum command_status topic_trim_run(const struct command_line *l);
enum command_status topic_partitions_run(const struct command_line *l);
enum command_status topic_deleted_run(const struct command_line *l);
enum command_status topic_undelete_run(const struct command_line *l);
enum command_status topic_purge_run(const struct command_line *l);
enum command_status group_reset_run(const struct command_line *l);
enum command_status group_delete_run(const struct command_line *l);
enum command_status transaction_list_run(const struct command_line *l);
enum command_status transaction_describe_run(const struct command_line *l);
enum command_status transaction_abort_run(const struct command_line *l);
enum command_status producer_list_run(const struct command_line *l);
enum command_status group_list_run(const struct command_line *l);
enum command_status group_describe_run(const struct command_line *l);
enum command_status status_run(const struct command_line *l);
enum command_status top_run(const struct command_line *l);
enum command_status down_run(const struct command_line *l);
enum command_status logout_run(const struct command_line *l);
enum command_status ping_run(const struct command_line *l);
enum command_status whois_run(const struct command_line *l);
enum command_status netcheck_run(const struct command_line *l);
enum command_status policy_get_run(const struct command_line *l);
enum command_status policy_set_run(const struct command_line *l);
enum command_status policy_check_run(const struct command_line *l);
enum command_status policy_explain_run(const struct command_line *l);
enum command_status policy_who_can_run(const struct command_line *l);
enum command_status policy_diff_run(const struct command_line *l);
enum command_status policy_history_run(const struct command_line *l);
enum command_status policy_rollback_run(const struct command_line *l);
enum command_status key_new_run(const struct command_line *l);
enum command_status key_show_run(const struct command_line *l);
enum command_status key_derive_run(const struct command_line *l);
enum command_status key_create_run(const struct command_line *l);
enum command_status key_list_run(const struct command_line *l);
enum command_status key_revoke_run(const struct command_line *l);
enum command_status relay_list_run(const struct command_line *l);
enum command_status relay_add_run(const struct command_line *l);
enum command_status relay_remove_run(const struct command_line *l);
enum command_status machine_list_run(const struct command_line *l);
enum command_status machine_show_run(const struct command_line *l);
enum command_status machine_approve_run(const struct command_line *l);
enum command_status machine_rename_run(const struct command_line *l);
enum command_status machine_tag_run(const struct command_line *l);
enum command_status machine_routes_run(const struct command_line *l);
enum command_status machine_expire_run(const struct command_line *l);
enum command_status machine_remove_run(const struct command_line *l);
enum command_status user_add_run(const struct command_line *l);
enum command_status user_list_run(const struct command_line *l);
enum command_status user_password_run(const struct command_line *l);
enum command_status user_remove_run(const struct command_line *l);
enum command_status restore_command_run(const struct command_line *l);
enum command_status fsck_run(const struct command_line *l);
enum command_status rebuild_command_run(const struct command_line *l);
enum command_status bucket_probe_run(const struct command_line *l);
enum command_status cost_run(const struct command_line *l);
enum command_status tunnel_command_run(const struct command_line *l);
enum command_status send_run(const struct command_line *l);
enum command_status receive_run(const struct command_line *l);
enum command_status drop_status_run(const struct command_line *l);

/* help.c: examples first.  help_print_group: the commands that begin with `first_word`; nothing,
 * and false, when none does. */
void help_print(FILE *out);
bool help_print_group(FILE *out, const char *first_word);
void help_print_command(FILE *out, const struct command *command);

#endif

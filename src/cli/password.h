/* Passwords that people type or pipe in: never arguments, which others see.  Whoever gets one wipes
 * it (crypto_wipe()). */
#ifndef CLI_PASSWORD_H
#define CLI_PASSWORD_H

#include <stdbool.h>
#include <stdio.h>

enum { PASSWORD_BYTES_MAX = 1000 };

/* One line of `file`, without its end; nothing else is read, before or behind it.  False: there is
 * none, or it is too long. */
bool password_read_line(FILE *file, char ret[PASSWORD_BYTES_MAX + 2]);

/* The same for a secret of another size: at most `size` - 2 bytes. */
bool password_read_secret(FILE *file, char *ret, int size);

/* The same from the terminal at standard input, which does not show it.  False: no terminal. */
bool password_prompt(const char *text, char ret[PASSWORD_BYTES_MAX + 2]);

#endif

#include "cli/password.h"

#include <string.h>
#include <termios.h>
#include <unistd.h>

bool password_read_secret(FILE *file, char *ret, int size)
{
	setvbuf(file, NULL, _IONBF, 0); /* a buffer would keep it, where nobody wipes it */
	if (!fgets(ret, size, file))
		return false;
	size_t length = strcspn(ret, "\r\n");
	bool is_whole = length + 2 <= (size_t)size;
	ret[length] = '\0';
	return is_whole;
}

bool password_read_line(FILE *file, char ret[PASSWORD_BYTES_MAX + 2])
{
	return password_read_secret(file, ret, PASSWORD_BYTES_MAX + 2);
}

bool password_prompt(const char *text, char ret[PASSWORD_BYTES_MAX + 2])
{
	struct termios before, silent;

	if (tcgetattr(STDIN_FILENO, &before) < 0)
		return false;
	silent = before;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	fputs(text, stderr);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
	bool is_read = password_read_line(stdin, ret);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	fputs("\n", stderr);
	return is_read;
}

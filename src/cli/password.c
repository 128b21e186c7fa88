#include "cli/password.h"

#include <string.h>
#include <termios.h>
#include <unistd.h>

bool password_read_line(FILE *file, char ret[PASSWORD_BYTES_MAX + 2])
{
	setvbuf(file, NULL, _IONBF, 0); /* a buffer would keep it, where nobody wipes it */
	if (!fgets(ret, PASSWORD_BYTES_MAX + 2, file))
		return false;
	size_t size = strcspn(ret, "\r\n");
	bool is_whole = size <= PASSWORD_BYTES_MAX;
	ret[size] = '\0';
	return is_whole;
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

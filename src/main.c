#include <stdio.h>

int main(void)
{
	puts("hanse");
	return 0;
}

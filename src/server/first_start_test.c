/* No key that may be a cluster's is ever lost. */
#include "server/first_start.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/key_file.h"

struct place {
	struct options options;
	struct first_start start;
	char directory[64], path[128], aside[160];
	int stderr_fd;
	FILE *said;
};

static void open_place(struct place *p, bool has_file)
{
	char why[OPTION_WHY_BYTES], id[KEY_ID_TEXT_BYTES];

	memset(p, 0, sizeof(*p));
	snprintf(p->directory, sizeof(p->directory), "/tmp/first_start_XXXXXX");
	assert_non_null(mkdtemp(p->directory));
	snprintf(p->path, sizeof(p->path), "%s/key", p->directory);
	p->options.is_sealed = p->options.has_control = p->options.has_streams = true;
	if (has_file)
		snprintf(p->options.values[OPTION_KEY_FILE], OPTION_VALUE_BYTES_MAX, "%s", p->path);
	assert_int_equal(first_start_begin(&p->start, &p->options, why), OK);
	keyring_id_text(&p->start.keys, id);
	snprintf(p->aside, sizeof(p->aside), "%s.unused-%.8s", p->path, id);
	p->said = tmpfile();
	p->stderr_fd = dup(STDERR_FILENO);
	assert_true(p->said && dup2(fileno(p->said), STDERR_FILENO) >= 0);
}

/* The end of the process: has it shown this key, all in all? */
static bool close_place(struct place *p)
{
	char text[4096] = "", key[RECOVERY_KEY_TEXT_BYTES];

	recovery_key_encode(key, keyring_get(&p->start.keys, KEY_ROOT));
	first_start_done(&p->start);
	fflush(stderr);
	dup2(p->stderr_fd, STDERR_FILENO);
	close(p->stderr_fd);
	rewind(p->said);
	size_t size = fread(text, 1, sizeof(text) - 1, p->said);
	text[size] = '\0';
	fclose(p->said);
	unlink(p->path);
	unlink(p->aside);
	assert_int_equal(rmdir(p->directory), 0);
	return strstr(text, key) != NULL;
}

static bool holds_key_of(const char *path, const struct keyring *keys)
{
	char why[KEY_FILE_WHY_BYTES];
	struct keyring found;

	return !key_file_read(path, &found, why) &&
	       memcmp(found.keys[KEY_ROOT], keys->keys[KEY_ROOT], KEY_BYTES) == 0;
}

static void test_the_key_of_a_new_cluster_is_shown_once(void **state)
{
	struct place p;

	(void)state;
	for (int has_file = 0; has_file < 2; has_file++) {
		open_place(&p, has_file);
		first_start_on_ready(&p.start);
		first_start_on_denied(&p.start); /* by whatever happens later */
		assert_int_equal(holds_key_of(p.path, &p.start.keys), has_file);
		assert_true(close_place(&p));
	}
}

static void test_a_new_key_of_no_cluster_is_put_aside(void **state)
{
	struct place p;

	(void)state;
	open_place(&p, true);
	first_start_on_denied(&p.start);
	assert_int_not_equal(access(p.path, F_OK), 0);
	assert_true(holds_key_of(p.aside, &p.start.keys));
	assert_false(close_place(&p));
}

/* While the bucket could not be reached somebody put the right key there. */
static void test_a_key_that_was_brought_meanwhile_is_left_alone(void **state)
{
	char why[KEY_FILE_WHY_BYTES];
	struct keyring right;
	struct place p;

	(void)state;
	open_place(&p, true);
	key_draw(&right);
	assert_int_equal(unlink(p.path), 0);
	assert_int_equal(key_file_create(p.path, &right, why), OK);
	first_start_on_denied(&p.start);
	assert_true(holds_key_of(p.path, &right));
	assert_false(close_place(&p));
}

/* The cluster may be there: created, and then the port was not free. */
static void test_a_start_that_gave_up_early_shows_a_key_that_is_in_no_file(void **state)
{
	struct place p;

	(void)state;
	open_place(&p, false);
	first_start_on_asking(&p.start);
	assert_true(close_place(&p));
	open_place(&p, false);
	assert_false(close_place(&p)); /* no bucket was asked: nothing can have it */
	open_place(&p, true);
	first_start_on_asking(&p.start);
	assert_false(close_place(&p)); /* the next start finds it */
	open_place(&p, false);
	first_start_on_asking(&p.start);
	first_start_on_denied(&p.start);
	assert_false(close_place(&p)); /* it is nobody's */
}

static void test_a_key_file_that_cannot_be_made_shows_nothing(void **state)
{
	struct options options = { .is_sealed = true, .has_control = true };
	struct first_start start;
	char why[OPTION_WHY_BYTES];

	(void)state;
	snprintf(options.values[OPTION_KEY_FILE], OPTION_VALUE_BYTES_MAX, "/absent/directory/key");
	assert_int_not_equal(first_start_begin(&start, &options, why), OK);
	assert_false(start.is_drawn);
	first_start_done(&start);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_key_of_a_new_cluster_is_shown_once),
		cmocka_unit_test(test_a_new_key_of_no_cluster_is_put_aside),
		cmocka_unit_test(test_a_key_that_was_brought_meanwhile_is_left_alone),
		cmocka_unit_test(test_a_start_that_gave_up_early_shows_a_key_that_is_in_no_file),
		cmocka_unit_test(test_a_key_file_that_cannot_be_made_shows_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

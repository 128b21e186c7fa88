#include "cli/restore_buckets.h"

#include <string.h>
#include <unistd.h>

#include "buckets/sealed.h"
#include "cli/output.h"
#include "server/options.h"

enum { URLS_BYTES = OPTION_VALUE_BYTES_MAX };

/* --- opening -----------------------------------------------------------------------------------
 */

static enum command_status open_one(const struct restore_buckets *r, const char *url,
				    enum key_part part, struct bucket **ret)
{
	char why[TASK_WHY_BYTES];

	if (bucket_open(url, ret, why)) {
		say("%s", why);
		return COMMAND_MISUSED;
	}
	if (r->key_file)
		*ret = sealed_bucket_new(*ret, keyring_get(&r->keys, part));
	return COMMAND_DONE;
}

/* Both the journal and the records are read, so it takes the recovery key. */
static enum command_status take_keys(struct restore_buckets *r)
{
	char why[KEY_FILE_WHY_BYTES];

	r->key_file = command_line_value(r->line, FLAG_KEY_FILE, NULL);
	if (!r->key_file)
		return COMMAND_DONE;
	keys_protect();
	enum err err = key_file_read(r->key_file, &r->keys, why);
	if (err == ERR_NOT_FOUND)
		say("there is no key file %s: write the recovery key into it, for nobody else to "
		    "read (mode 600)",
		    r->key_file);
	else if (err)
		say("%s", why);
	else if (!keyring_has(&r->keys, KEY_ROOT))
		say("%s is the part of one role: to restore takes the recovery key", r->key_file);
	else
		return COMMAND_DONE;
	return (enum command_status)RESTORE_BUCKETS_IMPOSSIBLE;
}

static enum command_status open_journals(struct restore_buckets *r)
{
	char urls[URLS_BYTES], *rest = urls;

	snprintf(urls, sizeof(urls), "%s", r->journal_urls ? r->journal_urls : r->bucket_url);
	for (char *url = strsep(&rest, ","); url; url = strsep(&rest, ",")) {
		if (r->journal_count == JOURNAL_BUCKETS_MAX) {
			say("--journal names more than %d buckets", JOURNAL_BUCKETS_MAX);
			return COMMAND_MISUSED;
		}
		enum command_status status =
			open_one(r, url, KEY_JOURNAL, &r->journals[r->journal_count]);
		if (status)
			return status;
		r->journal_count++;
	}
	if (r->journal_count % 2 == 1)
		return COMMAND_DONE;
	say("--journal names %d buckets: give the 1, 3 or 5 of the cluster", r->journal_count);
	return COMMAND_MISUSED;
}

/* A directory that is not there is a mistake, never a new bucket. */
static enum command_status check_directory(const char *urls)
{
	char copy[URLS_BYTES], *rest = copy;

	snprintf(copy, sizeof(copy), "%s", urls);
	for (char *url = strsep(&rest, ","); url; url = strsep(&rest, ",")) {
		if (strncmp(url, "file:", 5) != 0)
			continue;
		url[strcspn(url, "?")] = '\0';
		if (access(url + 5, F_OK) == 0)
			continue;
		say("there is no directory %s: is that the right bucket?", url + 5);
		return (enum command_status)RESTORE_BUCKETS_IMPOSSIBLE;
	}
	return COMMAND_DONE;
}

enum command_status restore_buckets_open(struct restore_buckets *r)
{
	const struct command_line *l = r->line;

	r->bucket_url = command_line_value(l, FLAG_BUCKET, NULL);
	r->journal_urls = command_line_value(l, FLAG_JOURNAL, NULL);
	if (!r->bucket_url) {
		say("--bucket is missing: where are the records, as in file:/srv/bucket or "
		    "s3://NAME?endpoint=URL?");
		return COMMAND_MISUSED;
	}
	if (strlen(r->bucket_url) >= URLS_BYTES ||
	    (r->journal_urls && strlen(r->journal_urls) >= URLS_BYTES)) {
		say("a URL is too long");
		return COMMAND_MISUSED;
	}
	enum command_status status = check_directory(r->bucket_url);
	if (!status && r->journal_urls)
		status = check_directory(r->journal_urls);
	if (!status)
		status = take_keys(r);
	if (!status)
		status = open_one(r, r->bucket_url, KEY_DATA, &r->bucket);
	return status ? status : open_journals(r);
}

void restore_buckets_close(struct restore_buckets *r)
{
	if (r->bucket)
		bucket_close(r->bucket);
	for (int i = 0; i < r->journal_count; i++)
		bucket_close(r->journals[i]);
	keyring_done(&r->keys);
}

/* Credentials of the environment and of the file that AWS's programs share. */
#include "buckets/s3_credentials.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/scope.h"

enum { FILE_BYTES_MAX = 64 * 1024, PATH_BYTES = 4096 };

static const char *environment(const char *name)
{
	const char *value = getenv(name);

	return value && value[0] ? value : NULL;
}

static struct slice trim(struct slice s)
{
	while (s.size && strchr(" \t\r", s.data[s.size - 1]) && s.data[s.size - 1])
		s.size--;
	while (s.size && (s.data[0] == ' ' || s.data[0] == '\t'))
		s = slice_part(s, 1, s.size);
	return s;
}

/* Header lines cannot be broken by what stands in a file or a variable. */
static bool take_secret(char *ret, size_t size, struct slice value)
{
	for (size_t i = 0; i < value.size; i++)
		if (value.data[i] <= ' ' || value.data[i] > '~')
			return false;
	if (value.size >= size)
		return false;
	if (value.size)
		memcpy(ret, value.data, value.size);
	ret[value.size] = '\0';
	return true;
}

static bool take_line(struct s3_credentials *c, struct slice name, struct slice value)
{
	if (slice_equal(name, SLICE("aws_access_key_id")))
		return take_secret(c->access_key, sizeof(c->access_key), value);
	if (slice_equal(name, SLICE("aws_secret_access_key")))
		return take_secret(c->secret, sizeof(c->secret), value);
	if (slice_equal(name, SLICE("aws_session_token")))
		return take_secret(c->token, sizeof(c->token), value);
	return true;
}

enum err s3_credentials_parse(struct s3_credentials *ret, struct slice text, struct slice profile)
{
	struct s3_credentials c = { 0 };
	bool is_ours = false;

	while (text.size > 0) {
		struct slice value = trim(slice_cut(&text, '\n'));

		if (value.size == 0 || value.data[0] == '#' || value.data[0] == ';')
			continue;
		if (value.data[0] == '[') {
			value = slice_part(value, 1, value.size);
			is_ours = slice_equal(trim(slice_cut(&value, ']')), profile);
			continue;
		}
		struct slice name = trim(slice_cut(&value, '='));
		if (is_ours && !take_line(&c, name, trim(value)))
			return ERR_INVALID;
	}
	if (!c.access_key[0] || !c.secret[0])
		return ERR_NOT_FOUND;
	*ret = c;
	return OK;
}

static enum err load_file(struct s3_credentials *ret, const char *profile, char why[TASK_WHY_BYTES])
{
	const char *given = environment("AWS_SHARED_CREDENTIALS_FILE");
	const char *home = environment("HOME");
	static char text[FILE_BYTES_MAX];
	char path[PATH_BYTES];
	size_t size;
	enum err err;

	snprintf(path, sizeof(path), "%s%s",
		 given	? given
		 : home ? home
			: "",
		 given ? "" : "/.aws/credentials");
	AUTO_FILE file = fopen(path, "re");
	if (!file && profile) {
		snprintf(why, TASK_WHY_BYTES, "no credentials [%.20s]: there is no file %.60s",
			 profile, path);
		return ERR_NOT_FOUND;
	}
	if (!file) {
		snprintf(why, TASK_WHY_BYTES,
			 "no S3 credentials: set AWS_ACCESS_KEY_ID and "
			 "AWS_SECRET_ACCESS_KEY, or write ~/.aws/credentials");
		return ERR_NOT_FOUND;
	}
	size = fread(text, 1, sizeof(text), file);
	profile = profile ? profile : "default";
	err = s3_credentials_parse(ret, (struct slice) { (const uint8_t *)text, size },
				   slice_from(profile));
	memset(text, 0, sizeof(text));
	if (err)
		snprintf(why, TASK_WHY_BYTES, "no access key and secret for [%.20s] in %.60s",
			 profile, path);
	return err;
}

enum err s3_credentials_load(struct s3_credentials *ret, const char *profile,
			     char why[TASK_WHY_BYTES])
{
	const char *key = environment("AWS_ACCESS_KEY_ID");
	const char *secret = environment("AWS_SECRET_ACCESS_KEY");
	const char *token = environment("AWS_SESSION_TOKEN");
	struct s3_credentials c = { 0 };

	if (profile[0])
		return load_file(ret, profile, why);
	if (!key && !secret)
		return load_file(ret, environment("AWS_PROFILE"), why);
	if (!key || !secret) {
		snprintf(why, TASK_WHY_BYTES, "%s is set and %s is not",
			 key ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
			 key ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
		return ERR_INVALID;
	}
	if (!take_secret(c.access_key, sizeof(c.access_key), slice_from(key)) ||
	    !take_secret(c.secret, sizeof(c.secret), slice_from(secret)) ||
	    (token && !take_secret(c.token, sizeof(c.token), slice_from(token)))) {
		snprintf(why, TASK_WHY_BYTES,
			 "the AWS_ variables with the credentials hold spaces or are too long");
		return ERR_INVALID;
	}
	*ret = c;
	return OK;
}

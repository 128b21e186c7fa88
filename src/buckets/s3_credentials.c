/* Credentials of the environment, of the file that AWS's programs share, and of the machine. */
#include "buckets/s3_credentials.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/scope.h"
#include "buckets/s3_xml.h"

enum { FILE_BYTES_MAX = 64 * 1024, PATH_BYTES = 4096, HOST_BYTES = 256 };

#define INSTANCE_URL "http://169.254.169.254"
#define CONTAINER_URL "http://169.254.170.2"

static const char *environment(const char *name)
{
	const char *value = getenv(name);

	return value && value[0] ? value : NULL;
}

static struct slice trim(struct slice s)
{
	return slice_trim(s, " \t\r");
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

static const char nothing_found[] = "no S3 credentials: set AWS_ACCESS_KEY_ID and "
				    "AWS_SECRET_ACCESS_KEY, or write ~/.aws/credentials";

/* `profile` NULL: the default one, which need not be there. */
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
		return ERR_INVALID;
	}
	if (!file) {
		snprintf(why, TASK_WHY_BYTES, "%s", nothing_found);
		return ERR_NOT_FOUND;
	}
	size = fread(text, 1, sizeof(text), file);
	err = s3_credentials_parse(ret, (struct slice) { (const uint8_t *)text, size },
				   slice_from(profile ? profile : "default"));
	memset(text, 0, sizeof(text));
	if (err)
		snprintf(why, TASK_WHY_BYTES, "no access key and secret for [%.20s] in %.60s",
			 profile ? profile : "default", path);
	return err && profile ? ERR_INVALID : err;
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

/* --- of a machine ---------------------------------------------------------------------------- */
static struct slice text_of(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	return (struct slice) { (const uint8_t *)json_string_value(value),
				json_string_length(value) };
}

static enum err take_json(struct s3_credentials *ret, int64_t *ret_expires_ms, const json_t *object,
			  char why[TASK_WHY_BYTES])
{
	const char *expires = json_string_value(json_object_get(object, "Expiration"));
	const char *code = json_string_value(json_object_get(object, "Code"));
	int64_t expires_ms = INT64_MAX;
	struct s3_credentials c = { 0 };

	if (code && strcmp(code, "Success") != 0) {
		snprintf(why, TASK_WHY_BYTES, "it has no credentials, but a Code of its own");
		return ERR_INVALID;
	}
	if (!take_secret(c.access_key, sizeof(c.access_key), text_of(object, "AccessKeyId")) ||
	    !take_secret(c.secret, sizeof(c.secret), text_of(object, "SecretAccessKey")) ||
	    !take_secret(c.token, sizeof(c.token), text_of(object, "Token")) || !c.access_key[0] ||
	    !c.secret[0] || (expires && !s3_parse_time(expires, &expires_ms))) {
		snprintf(why, TASK_WHY_BYTES, "what it answers are no credentials");
		return ERR_INVALID;
	}
	*ret = c;
	*ret_expires_ms = expires_ms;
	return OK;
}

enum err s3_credentials_parse_json(struct s3_credentials *ret, int64_t *ret_expires_ms,
				   struct slice text, char why[TASK_WHY_BYTES])
{
	json_t *object = json_loadb((const char *)text.data, text.size, 0, NULL);
	enum err err = take_json(ret, ret_expires_ms, object, why);

	json_decref(object);
	return err;
}

/* Credentials go over an open line only to the machine itself. */
static bool is_host_near(const char *host)
{
	static const char *const near[] = { "localhost", "[::1]", "[fd00:ec2::23]", "169.254.170.2",
					    "169.254.170.23" };
	struct in_addr address;

	for (size_t i = 0; i < sizeof(near) / sizeof(*near); i++)
		if (strcmp(host, near[i]) == 0)
			return true;
	return inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

/* The part between the scheme and the port; false when there is something unusual in it. */
static bool take_host(char ret[HOST_BYTES], const char *rest)
{
	size_t all = strcspn(rest, "/?#");
	size_t size = rest[0] == '[' ? strcspn(rest, "]") + 1 : strcspn(rest, ":/?#");

	if (size == 0 || size > all || size >= HOST_BYTES || memchr(rest, '@', all))
		return false;
	memcpy(ret, rest, size);
	ret[size] = '\0';
	return true;
}

static enum err check_full_uri(const char *url, char why[TASK_WHY_BYTES])
{
	char host[HOST_BYTES] = "";
	bool is_open = strncmp(url, "http://", 7) == 0;

	if ((is_open && take_host(host, url + 7) && is_host_near(host)) ||
	    (strncmp(url, "https://", 8) == 0 && take_host(host, url + 8)))
		return OK;
	snprintf(why, TASK_WHY_BYTES,
		 "AWS_CONTAINER_CREDENTIALS_FULL_URI: use https://, or http:// on this machine");
	return ERR_INVALID;
}

static enum err set_place(struct s3_place *ret, const char *before, const char *url,
			  char why[TASK_WHY_BYTES])
{
	int size = snprintf(ret->url, sizeof(ret->url), "%s%s", before, url);

	for (const char *p = ret->url; *p; p++)
		if (*p <= ' ' || *p > '~')
			size = S3_PLACE_BYTES;
	if (size >= S3_PLACE_BYTES) {
		snprintf(why, TASK_WHY_BYTES,
			 "the address of the credentials in the environment "
			 "is too long, or none");
		return ERR_INVALID;
	}
	while (!ret->is_container && size > 0 && ret->url[size - 1] == '/')
		ret->url[--size] = '\0';
	return OK;
}

enum err s3_place_find(struct s3_place *ret, char why[TASK_WHY_BYTES])
{
	const char *relative = environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = environment("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	const char *instance = environment("AWS_EC2_METADATA_SERVICE_ENDPOINT");
	const char *disabled = environment("AWS_EC2_METADATA_DISABLED");

	ret->is_container = relative || full;
	if (relative)
		return set_place(ret, relative[0] == '/' ? CONTAINER_URL : CONTAINER_URL "/",
				 relative, why);
	if (full)
		return check_full_uri(full, why) ? ERR_INVALID : set_place(ret, "", full, why);
	if (disabled && strcasecmp(disabled, "true") == 0) {
		snprintf(why, TASK_WHY_BYTES, "%s", nothing_found);
		return ERR_NOT_FOUND;
	}
	if (!instance)
		return set_place(ret, "", INSTANCE_URL, why);
	if (strncmp(instance, "http://", 7) != 0 && strncmp(instance, "https://", 8) != 0)
		return set_place(ret, "http://", instance, why);
	return set_place(ret, "", instance, why);
}

enum err s3_place_token(char ret[S3_PLACE_TOKEN_BYTES], char why[TASK_WHY_BYTES])
{
	const char *path = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	const char *given = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN");
	char text[S3_PLACE_TOKEN_BYTES];
	struct slice token = slice_from(given ? given : "");

	if (path) {
		AUTO_FILE file = fopen(path, "re");

		if (!file) {
			snprintf(why, TASK_WHY_BYTES, "there is no file %.80s", path);
			return ERR_INVALID;
		}
		token = (struct slice) { (const uint8_t *)text,
					 fread(text, 1, sizeof(text), file) };
		while (token.size && token.data[token.size - 1] == '\n')
			token.size--;
	}
	bool is_good = token.size < sizeof(text);
	for (size_t i = 0; i < token.size; i++)
		is_good &= token.data[i] >= ' ' && token.data[i] <= '~';
	if (!is_good) {
		snprintf(why, TASK_WHY_BYTES,
			 "the container's authorization token has line breaks "
			 "in it, or is too long");
		return ERR_INVALID;
	}
	if (token.size)
		memcpy(ret, token.data, token.size);
	ret[token.size] = '\0';
	return OK;
}

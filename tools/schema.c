/* Reads a message schema, writes C structs and descriptor rows.
 *
 *   schema apis|messages PREFIX INPUT.schema... OUTPUT.h OUTPUT.c
 *
 * The language, one line a thing, nesting by four spaces, `#` starts a comment:
 *
 *   metadata_response  key 3  versions 0-13  flexible 9+        a message
 *       throttle_time_ms  int32     3+                          a field of versions 3 and later
 *       cluster_id        string    2+  null 2+                 may be null from version 2 on
 *       controller_id     int32     1+  = -1                    default where it is absent
 *       topics            []topic                               array of the struct that follows
 *           partitions    []int32   0-9
 *       current_leader    {}leader  tag 0 (10+)                 one struct, as tagged field
 *       next_cursor       {}cursor  null 0+                     one struct or NULL: a pointer in C
 *           leader_id     int32     = -1
 *
 * Types: bool int8 int16 int32 int64 uint16 uint32 float64 uuid string bytes records, [] of each,
 * []name and {}name with fields below.  Versions: "3+", "2-7", "4"; none means all of the message.
 * A struct is called PREFIX_MESSAGE_NAME, so a name is used once in a message.
 * Default without "=": zero, empty, and null where the field may be null.
 *
 * With `apis` messages come in pairs x_request and x_response of one key, and a table of them is
 * written; with `messages` each has a key of its own.
 * Mistakes are reported as FILE:LINE and end with status 1; nothing is written then. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	NAME_BYTES = 96,
	LINE_BYTES = 256,
	WORDS_MAX = 16,
	INDENT_SPACES = 4,
	DEPTH_MAX = 6, /* SCHEMA_DEPTH_MAX of wire/kafka/schema.h */
	STRUCTS_MAX = 512,
	FIELDS_MAX = 4096,
	VERSION_NEVER = INT16_MAX,
	TAG_NONE = -1,
};

#define WORD_ENDS " \t\r\n"

struct range {
	int first;
	int last;
};

struct field {
	char name[NAME_BYTES];
	const struct type *type;  /* NULL: a struct */
	struct structure *child;  /* of a struct */
	struct structure *parent; /* the struct it stands in */
	struct range versions;
	int null_first;
	int tag;
	long long value_default;
	bool is_array;
};

/* A message (parent NULL) or a struct inside one. */
struct structure {
	char name[NAME_BYTES];	    /* as in the schema */
	char full_name[NAME_BYTES]; /* of the C struct */
	struct structure *message;
	struct range versions;
	int flexible_first;
	int key;
	const char *file_name;
	int line;
	int field_count;
};

static const struct type {
	const char *name;
	const char *c_type;
	const char *kind;
	bool may_be_null;
	long long min, max; /* of a default */
} types[] = {
	{ "bool", "bool", "SCHEMA_BOOL", false, 0, 1 },
	{ "int8", "int8_t", "SCHEMA_INT8", false, INT8_MIN, INT8_MAX },
	{ "int16", "int16_t", "SCHEMA_INT16", false, INT16_MIN, INT16_MAX },
	{ "uint16", "uint16_t", "SCHEMA_UINT16", false, 0, UINT16_MAX },
	{ "int32", "int32_t", "SCHEMA_INT32", false, INT32_MIN, INT32_MAX },
	{ "uint32", "uint32_t", "SCHEMA_UINT32", false, 0, UINT32_MAX },
	{ "int64", "int64_t", "SCHEMA_INT64", false, INT64_MIN, INT64_MAX },
	{ "float64", "double", "SCHEMA_FLOAT64", false, 0, 0 },
	{ "uuid", "struct uuid", "SCHEMA_UUID", false, 0, 0 },
	{ "string", "struct slice", "SCHEMA_STRING", true, 0, 0 },
	{ "bytes", "struct slice", "SCHEMA_BYTES", true, 0, 0 },
	{ "records", "struct slice", "SCHEMA_BYTES", true, 0, 0 },
};

static struct structure structures[STRUCTS_MAX];
static int structure_count;
static struct field fields[FIELDS_MAX];
static int field_count;

static const char *file_name;
static int line_number;
static const char *prefix;
static bool with_apis;

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *text, ...)
{
	va_list args;

	va_start(args, text);
	fprintf(stderr, "%s:%d: ", file_name, line_number);
	vfprintf(stderr, text, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

/* --- reading -------------------------------------------------------------------------------- */

static void name_set(char ret[NAME_BYTES], const char *text)
{
	int size = snprintf(ret, NAME_BYTES, "%s", text);

	if (size < 0 || size >= NAME_BYTES)
		fail("\"%s\" is too long", text);
}

static void check_name(const char *name)
{
	if (!islower((unsigned char)name[0]))
		fail("\"%s\" is not a name: lower-case letters, digits and _", name);
	for (const char *p = name; *p; p++) {
		if (!islower((unsigned char)*p) && !isdigit((unsigned char)*p) && *p != '_')
			fail("\"%s\" is not a name: lower-case letters, digits and _", name);
	}
}

static long long parse_number(const char *word)
{
	char *end;

	errno = 0;
	long long value = strtoll(word, &end, 10);
	if (errno || end == word || *end)
		fail("\"%s\" is not a number", word);
	return value;
}

/* "3+", "2-7" or "4", clipped to what the message has. */
static struct range parse_versions(const char *word, struct range message)
{
	char *end;
	long first = strtol(word, &end, 10);
	long last = first;

	if (end == word)
		fail("\"%s\" is not a range of versions", word);
	if (end[0] == '+' && !end[1]) {
		last = message.last;
	} else if (end[0] == '-' && isdigit((unsigned char)end[1])) {
		last = strtol(end + 1, &end, 10);
		if (*end)
			fail("\"%s\" is not a range of versions", word);
	} else if (*end) {
		fail("\"%s\" is not a range of versions", word);
	}
	if (first < 0 || last >= VERSION_NEVER)
		fail("\"%s\" is not a range of versions", word);
	if (first > last || first > message.last || last < message.first)
		fail("no version of the message is in \"%s\"", word);
	return (struct range) { (int)first, (int)last };
}

static int split_words(char *line, char *words[WORDS_MAX])
{
	int count = 0;

	for (;;) {
		line += strspn(line, WORD_ENDS);
		if (!*line)
			break;
		if (count == WORDS_MAX)
			fail("more than %d words in a line", WORDS_MAX);
		words[count++] = line;
		line += strcspn(line, WORD_ENDS);
		if (*line)
			*line++ = 0;
	}
	return count;
}

static struct structure *structure_new(void)
{
	if (structure_count == STRUCTS_MAX)
		fail("more than %d structs", STRUCTS_MAX);
	structures[structure_count].line = line_number;
	structures[structure_count].file_name = file_name;
	return &structures[structure_count++];
}

static void check_full_name(const struct structure *s)
{
	for (int i = 0; i < structure_count; i++) {
		if (&structures[i] != s && strcmp(structures[i].full_name, s->full_name) == 0)
			fail("struct %s is there already, from line %d", s->full_name,
			     structures[i].line);
	}
}

static void set_full_name(struct structure *s, const char *first, const char *second)
{
	int size = snprintf(s->full_name, NAME_BYTES, "%s_%s", first, second);

	if (size < 0 || size >= NAME_BYTES)
		fail("the name %s_%s is too long", first, second);
	check_full_name(s);
}

/* NAME key N versions A-B flexible F+|none */
static struct structure *parse_message(char *words[], int count)
{
	if (count != 7 || strcmp(words[1], "key") != 0 || strcmp(words[3], "versions") != 0 ||
	    strcmp(words[5], "flexible") != 0)
		fail("a message is: NAME key N versions A-B flexible F+|none");

	struct structure *s = structure_new();
	struct range any = { 0, VERSION_NEVER - 1 };
	check_name(words[0]);
	name_set(s->name, words[0]);
	set_full_name(s, prefix, words[0]);
	s->message = s;
	long long key = parse_number(words[2]);
	if (key < 0 || key > INT16_MAX)
		fail("key %lld is not in 0-%d", key, INT16_MAX);
	s->key = (int)key;
	s->versions = parse_versions(words[4], any);
	s->flexible_first = VERSION_NEVER;
	if (strcmp(words[6], "none") != 0)
		s->flexible_first = parse_versions(words[6], any).first;
	return s;
}

static void parse_type(struct field *f, const char *word)
{
	const char *name = word;

	f->is_array = strncmp(word, "[]", 2) == 0;
	if (f->is_array || strncmp(word, "{}", 2) == 0)
		name += 2;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strcmp(types[i].name, name) == 0)
			f->type = &types[i];
	}
	if (f->type && (name == word || f->is_array))
		return;
	if (f->type || name == word)
		fail("there is no type \"%s\"", word);
	check_name(name);
	f->child = structure_new();
	name_set(f->child->name, name);
	f->child->message = f->parent->message;
	f->child->versions = f->parent->message->versions;
	f->child->flexible_first = f->parent->message->flexible_first;
	f->child->key = -1;
	set_full_name(f->child, f->parent->message->full_name, name);
}

static void parse_default(struct field *f, const char *word)
{
	if (strcmp(word, "null") == 0) {
		if (f->null_first == VERSION_NEVER)
			fail("%s is null by default and may not be null", f->name);
		return;
	}
	if (!f->type || f->is_array || f->type->min == f->type->max)
		fail("%s has a type without defaults", f->name);
	if (strcmp(f->type->name, "bool") == 0) {
		if (strcmp(word, "true") != 0 && strcmp(word, "false") != 0)
			fail("the default of a bool is true or false");
		f->value_default = strcmp(word, "true") == 0;
		return;
	}
	f->value_default = parse_number(word);
	if (f->value_default < f->type->min || f->value_default > f->type->max)
		fail("%s is out of the range of %s", word, f->type->name);
}

/* tag N (VERSIONS) */
static void parse_tag(struct field *f, char *words[])
{
	long long tag = parse_number(words[1]);
	size_t size = strlen(words[2]);

	if (tag < 0 || tag > INT16_MAX)
		fail("tag %lld is not in 0-%d", tag, INT16_MAX);
	if (size < 3 || words[2][0] != '(' || words[2][size - 1] != ')')
		fail("the versions of a tag stand in parentheses");
	words[2][size - 1] = 0;
	f->versions = parse_versions(words[2] + 1, f->parent->message->versions);
	if (f->versions.first < f->parent->message->flexible_first)
		fail("tag %lld in a version that is not flexible", tag);
	f->tag = (int)tag;
}

static void parse_null(struct field *f, const char *word)
{
	if (!f->is_array && f->type && !f->type->may_be_null)
		fail("%s has a type without null", f->name);
	if (word[strlen(word) - 1] != '+')
		fail("null goes on to the last version: null N+");
	f->null_first = parse_versions(word, f->parent->message->versions).first;
	if (f->child && !f->is_array && f->null_first > f->versions.first)
		fail("a struct may be null in every version or in none");
}

static void check_field(const struct field *f)
{
	for (const struct field *other = fields; other != f; other++) {
		if (other->parent != f->parent)
			continue;
		if (strcmp(other->name, f->name) == 0)
			fail("%s is there already", f->name);
		if (f->tag != TAG_NONE && f->tag <= other->tag)
			fail("tags of a struct ascend");
	}
}

/* NAME TYPE [VERSIONS] [null N+] [tag N (VERSIONS)] [= DEFAULT] */
static struct field *parse_field(struct structure *parent, char *words[], int count)
{
	if (field_count == FIELDS_MAX)
		fail("more than %d fields", FIELDS_MAX);
	if (count < 2)
		fail("a field is: NAME TYPE [VERSIONS] [null N+] [tag N (VERSIONS)] [= DEFAULT]");

	struct field *f = &fields[field_count++];
	check_name(words[0]);
	name_set(f->name, words[0]);
	f->parent = parent;
	f->versions = parent->message->versions;
	f->null_first = VERSION_NEVER;
	f->tag = TAG_NONE;
	parse_type(f, words[1]);
	for (int i = 2; i < count;) {
		if (strcmp(words[i], "null") == 0 && i + 1 < count) {
			parse_null(f, words[i + 1]);
			i += 2;
		} else if (strcmp(words[i], "tag") == 0 && i + 2 < count) {
			parse_tag(f, words + i);
			i += 3;
		} else if (strcmp(words[i], "=") == 0 && i + 2 == count) {
			parse_default(f, words[i + 1]);
			i += 2;
		} else if (i == 2 && isdigit((unsigned char)words[i][0])) {
			f->versions = parse_versions(words[i++], parent->message->versions);
		} else {
			fail("what is \"%s\" here?", words[i]);
		}
	}
	check_field(f);
	parent->field_count++;
	return f;
}

static int count_indent(const char *line)
{
	int spaces = 0;

	while (line[spaces] == ' ')
		spaces++;
	if (line[spaces] == '\t')
		fail("indent with spaces, %d a level", INDENT_SPACES);
	if (spaces % INDENT_SPACES != 0)
		fail("%d spaces are no whole number of levels of %d", spaces, INDENT_SPACES);
	return spaces / INDENT_SPACES;
}

static void read_schema(FILE *in)
{
	struct structure *open[DEPTH_MAX + 1] = { 0 }; /* the struct that takes fields, by level */
	char line[LINE_BYTES];

	for (line_number = 1; fgets(line, sizeof(line), in); line_number++) {
		char *words[WORDS_MAX];

		if (!strchr(line, '\n') && !feof(in))
			fail("a line is longer than %d bytes", LINE_BYTES - 2);
		line[strcspn(line, "#\n")] = 0;
		if (line[strspn(line, " \t\r")] == 0)
			continue;
		int level = count_indent(line);
		int count = split_words(line, words);
		if (level > DEPTH_MAX)
			fail("nested deeper than %d", DEPTH_MAX);
		if (level > 0 && !open[level - 1])
			fail("nested below something that is not a struct");
		struct structure *child;
		if (level == 0)
			child = parse_message(words, count);
		else
			child = parse_field(open[level - 1], words, count)->child;
		for (int i = level; i <= DEPTH_MAX; i++)
			open[i] = NULL;
		if (child && level == DEPTH_MAX)
			fail("nested deeper than %d", DEPTH_MAX);
		if (level < DEPTH_MAX)
			open[level] = child;
	}
}

static struct structure *find_message(const char *name)
{
	for (int i = 0; i < structure_count; i++) {
		if (structures[i].message == &structures[i] &&
		    strcmp(structures[i].name, name) == 0)
			return &structures[i];
	}
	return NULL;
}

static bool ends_with(const char *text, const char *end)
{
	return strlen(text) >= strlen(end) && strcmp(text + strlen(text) - strlen(end), end) == 0;
}

static void check_api(const struct structure *request)
{
	char name[NAME_BYTES + 16];

	snprintf(name, sizeof(name), "%.*s_response",
		 (int)(strlen(request->name) - strlen("_request")), request->name);
	const struct structure *response = find_message(name);
	if (!response)
		fail("there is no %s", name);
	if (response->key != request->key || response->versions.first != request->versions.first ||
	    response->versions.last != request->versions.last ||
	    response->flexible_first != request->flexible_first)
		fail("%s and %s differ in key or versions", request->name, name);
}

/* What can only be said when everything was read. */
static void check_all(void)
{
	for (int i = 0; i < structure_count; i++) {
		const struct structure *s = &structures[i];

		line_number = s->line;
		file_name = s->file_name;
		if (s->message != s) {
			if (s->field_count == 0)
				fail("struct %s has no fields", s->name);
			continue;
		}
		bool is_request = ends_with(s->name, "_request");
		if (with_apis && !is_request && !ends_with(s->name, "_response"))
			fail("%s is neither _request nor _response", s->name);
		if (with_apis && is_request)
			check_api(s);
		for (int j = 0; j < i; j++) {
			const struct structure *other = &structures[j];
			bool may_share =
				with_apis && is_request != ends_with(other->name, "_request");
			if (other->message == other && other->key == s->key && !may_share)
				fail("%s has the key of %s", s->name, other->name);
		}
	}
}

/* --- writing -------------------------------------------------------------------------------- */

static void write_upper(FILE *out, const char *text)
{
	for (; *text; text++)
		fputc(toupper((unsigned char)*text), out);
}

/* `offset_commit` as OffsetCommit. */
static void write_camel(FILE *out, const char *text, int size)
{
	bool is_start = true;

	for (int i = 0; i < size; i++) {
		if (text[i] != '_')
			fputc(is_start ? toupper((unsigned char)text[i]) : text[i], out);
		is_start = text[i] == '_';
	}
}

static void write_struct(FILE *out, const struct structure *s)
{
	for (int i = 0; i < field_count; i++) {
		if (fields[i].parent == s && fields[i].child)
			write_struct(out, fields[i].child);
	}
	fprintf(out, "struct %s {\n", s->full_name);
	for (int i = 0; i < field_count; i++) {
		const struct field *f = &fields[i];

		if (f->parent != s)
			continue;
		if (f->child)
			fprintf(out, "\tstruct %s ", f->child->full_name);
		else
			fprintf(out, "\t%s ", f->type->c_type);
		bool is_pointer = f->is_array || (f->child && f->null_first != VERSION_NEVER);
		fprintf(out, "%s%s;\n", is_pointer ? "*" : "", f->name);
		if (f->is_array)
			fprintf(out, "\tsize_t %s_count;\n", f->name);
	}
	if (s->field_count == 0)
		fprintf(out, "\tchar unused;\n");
	fprintf(out, "};\n\n");
}

static void write_keys(FILE *out)
{
	fprintf(out, "enum %s_%s {\n", prefix, with_apis ? "api_key" : "message");
	for (int i = 0; i < structure_count; i++) {
		const struct structure *s = &structures[i];
		size_t size = strlen(s->name);

		if (s->message != s || (with_apis && !ends_with(s->name, "_request")))
			continue;
		if (with_apis)
			size -= strlen("_request");
		fputc('\t', out);
		write_upper(out, prefix);
		fputs(with_apis ? "_API_" : "_", out);
		for (size_t j = 0; j < size; j++)
			fputc(toupper((unsigned char)s->name[j]), out);
		fprintf(out, " = %d,\n", s->key);
	}
	fprintf(out, "};\n\n");
}

static void write_header(FILE *out)
{
	fprintf(out, "/* Made by tools/schema.c from %s. */\n", file_name);
	fprintf(out, "#ifndef GENERATED_");
	write_upper(out, prefix);
	fprintf(out, "_MESSAGES_H\n#define GENERATED_");
	write_upper(out, prefix);
	fprintf(out, "_MESSAGES_H\n\n#include \"base/uuid.h\"\n");
	fprintf(out, "#include \"wire/kafka/schema.h\"\n");
	if (with_apis)
		fprintf(out, "#include \"wire/%s/api.h\"\n", prefix);
	fputc('\n', out);
	write_keys(out);
	for (int i = 0; i < structure_count; i++) {
		if (structures[i].message == &structures[i])
			write_struct(out, &structures[i]);
	}
	for (int i = 0; i < structure_count; i++) {
		if (structures[i].message == &structures[i])
			fprintf(out, "extern const struct schema %s_schema;\n",
				structures[i].full_name);
	}
	fprintf(out, "\n/* All messages. */\nextern const struct schema *const %s_schemas[];\n",
		prefix);
	fprintf(out, "extern const size_t %s_schemas_count;\n\n#endif\n", prefix);
}

static void write_row(FILE *out, const struct field *f)
{
	const char *owner = f->parent->full_name;

	fprintf(out, "\t{\n\t\t.name = \"%s\",\n", f->name);
	fprintf(out, "\t\t.kind = %s,\n", f->child ? "SCHEMA_STRUCT" : f->type->kind);
	if (f->child)
		fprintf(out, "\t\t.child = &%s_schema,\n", f->child->full_name);
	fprintf(out, "\t\t.offset = offsetof(struct %s, %s),\n", owner, f->name);
	if (f->is_array) {
		fprintf(out, "\t\t.is_array = true,\n");
		fprintf(out, "\t\t.count_offset = offsetof(struct %s, %s_count),\n", owner,
			f->name);
	}
	fprintf(out, "\t\t.version_first = %d,\n\t\t.version_last = %d,\n", f->versions.first,
		f->versions.last);
	fprintf(out, "\t\t.null_first = %d,\n\t\t.tag = %d,\n", f->null_first, f->tag);
	if (f->value_default == INT64_MIN)
		fprintf(out, "\t\t.value_default = INT64_MIN,\n");
	else if (f->value_default)
		fprintf(out, "\t\t.value_default = %lldLL,\n", f->value_default);
	fprintf(out, "\t},\n");
}

static void write_table(FILE *out, const struct structure *s)
{
	const char *storage = s->message == s ? "" : "static ";

	for (int i = 0; i < field_count; i++) {
		if (fields[i].parent == s && fields[i].child)
			write_table(out, fields[i].child);
	}
	if (s->field_count > 0) {
		fprintf(out, "static const struct schema_field %s_fields[] = {\n", s->full_name);
		for (int i = 0; i < field_count; i++) {
			if (fields[i].parent == s)
				write_row(out, &fields[i]);
		}
		fprintf(out, "};\n\n");
	}
	fprintf(out, "%sconst struct schema %s_schema = {\n", storage, s->full_name);
	fprintf(out, "\t.name = \"%s\",\n", s->full_name);
	if (s->field_count > 0)
		fprintf(out, "\t.fields = %s_fields,\n", s->full_name);
	fprintf(out, "\t.field_count = %d,\n\t.struct_bytes = sizeof(struct %s),\n", s->field_count,
		s->full_name);
	fprintf(out, "\t.key = %d,\n\t.version_first = %d,\n\t.version_last = %d,\n", s->key,
		s->versions.first, s->versions.last);
	fprintf(out, "\t.flexible_first = %d,\n};\n\n", s->flexible_first);
}

/* Sorted by key, as ApiVersions lists them. */
static void write_apis(FILE *out)
{
	fprintf(out, "const struct %s_api %s_apis[] = {\n", prefix, prefix);
	for (int key = 0; key <= INT16_MAX; key++) {
		for (int i = 0; i < structure_count; i++) {
			const struct structure *s = &structures[i];

			if (s->message != s || s->key != key || !ends_with(s->name, "_request"))
				continue;
			int size = (int)(strlen(s->name) - strlen("_request"));
			fprintf(out, "\t{\n\t\t.key = %d,\n\t\t.name = \"", key);
			write_camel(out, s->name, size);
			fprintf(out, "\",\n\t\t.request = &%s_schema,\n", s->full_name);
			fprintf(out, "\t\t.response = &%s_%.*s_response_schema,\n", prefix, size,
				s->name);
			fprintf(out, "\t\t.version_first = %d,\n\t\t.version_last = %d,\n",
				s->versions.first, s->versions.last);
			fprintf(out, "\t\t.flexible_first = %d,\n\t},\n", s->flexible_first);
		}
	}
	fprintf(out, "};\n\nconst size_t %s_apis_count = sizeof(%s_apis) / sizeof(%s_apis[0]);\n\n",
		prefix, prefix, prefix);
}

static void write_tables(FILE *out)
{
	fprintf(out, "/* Made by tools/schema.c from %s. */\n", file_name);
	fprintf(out, "#include \"%s_messages.h\"\n\n", prefix);
	for (int i = 0; i < structure_count; i++) {
		if (structures[i].message == &structures[i])
			write_table(out, &structures[i]);
	}
	if (with_apis)
		write_apis(out);
	fprintf(out, "const struct schema *const %s_schemas[] = {\n", prefix);
	for (int i = 0; i < structure_count; i++) {
		if (structures[i].message == &structures[i])
			fprintf(out, "\t&%s_schema,\n", structures[i].full_name);
	}
	fprintf(out, "};\n\nconst size_t %s_schemas_count =\n", prefix);
	fprintf(out, "\tsizeof(%s_schemas) / sizeof(%s_schemas[0]);\n", prefix, prefix);
}

static FILE *open_file(const char *name, const char *mode)
{
	FILE *file = fopen(name, mode);

	if (!file) {
		fprintf(stderr, "%s: %s\n", name, strerror(errno));
		exit(1);
	}
	return file;
}

static void write_file(const char *name, void (*write)(FILE *))
{
	FILE *out = open_file(name, "w");

	write(out);
	if (ferror(out) | fclose(out)) {
		fprintf(stderr, "%s: cannot write\n", name);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	if (argc < 6 || (strcmp(argv[1], "apis") != 0 && strcmp(argv[1], "messages") != 0)) {
		fprintf(stderr, "usage: schema apis|messages PREFIX INPUT... HEADER TABLES\n");
		return 2;
	}
	with_apis = strcmp(argv[1], "apis") == 0;
	prefix = argv[2];
	for (int i = 3; i < argc - 2; i++) {
		file_name = argv[i];
		line_number = 0;
		FILE *in = open_file(file_name, "r");
		read_schema(in);
		fclose(in);
	}
	check_all();
	file_name = argv[3];
	write_file(argv[argc - 2], write_header);
	write_file(argv[argc - 1], write_tables);
	return 0;
}

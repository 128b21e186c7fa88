#include "streams/coordinator/topic_pattern.h"

#include <ctype.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/memory.h"

struct topic_pattern {
	pcre2_code *code;
	pcre2_match_data *match;
	pcre2_match_context *limits;
};

/* --- what RE2 does not have --------------------------------------------------------------------
 */

static uint8_t byte_at(struct slice s, size_t at)
{
	return at < s.size ? s.data[at] : 0;
}

/* Behind "(?": a group that RE2 knows?  Flags (i m s U), names, and nothing. */
static bool group_is_known(struct slice s, size_t at)
{
	if (byte_at(s, at) == 'P')
		return byte_at(s, at + 1) == '<';
	if (byte_at(s, at) == '<')
		return byte_at(s, at + 1) != '=' && byte_at(s, at + 1) != '!';
	while (byte_at(s, at) && strchr("imsU-", byte_at(s, at)))
		at++;
	return byte_at(s, at) == ':' || byte_at(s, at) == ')';
}

/* Behind a backslash: letters and digits mean the same in both, or are not taken. */
static bool escape_is_known(uint8_t c)
{
	return !isalnum(c) || strchr("adDsSwWbBAzpPQEnrtfvx0", c);
}

static bool is_possessive(struct slice s, size_t at)
{
	return byte_at(s, at + 1) == '+' && strchr("?*+}", s.data[at]);
}

static size_t class_end(struct slice s, size_t at)
{
	at++;
	if (byte_at(s, at) == '^')
		at++;
	if (byte_at(s, at) == ']')
		at++;
	while (at < s.size && s.data[at] != ']') {
		if (s.data[at] == '[' && byte_at(s, at + 1) == ':') {
			while (at < s.size && !(s.data[at] == ':' && byte_at(s, at + 1) == ']'))
				at += 1 + (size_t)(s.data[at] == '[');
			at++;
		}
		at += 1 + (size_t)(byte_at(s, at) == '\\');
	}
	return at;
}

static bool is_known(struct slice s)
{
	bool has_atom = false; /* a quantifier here repeats something */

	for (size_t i = 0; i < s.size; i++) {
		uint8_t c = s.data[i];
		if (c == '\\') {
			if (!escape_is_known(byte_at(s, i + 1)))
				return false;
			i++;
			has_atom = true;
		} else if (c == '[') {
			i = class_end(s, i);
			has_atom = true;
		} else if (c == '(') {
			if (byte_at(s, i + 1) == '*' ||
			    (byte_at(s, i + 1) == '?' && !group_is_known(s, i + 2)))
				return false;
			has_atom = false;
		} else if (has_atom && is_possessive(s, i)) {
			return false;
		} else {
			has_atom = c != '|';
		}
	}
	return true;
}

/* --- life --------------------------------------------------------------------------------------
 */

static pcre2_code *compile(struct slice expression)
{
	pcre2_compile_context *limits = pcre2_compile_context_create(NULL);
	PCRE2_SIZE offset;
	int error;

	if (!limits)
		return NULL;
	pcre2_set_parens_nest_limit(limits, TOPIC_PATTERN_NESTING_MAX);
	pcre2_code *code =
		pcre2_compile(expression.data, expression.size,
			      PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_NO_AUTO_CAPTURE |
				      PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C,
			      &error, &offset, limits);
	pcre2_compile_context_free(limits);
	return code;
}

enum err topic_pattern_new(struct slice expression, struct topic_pattern **ret)
{
	if (expression.size > TOPIC_PATTERN_BYTES_MAX || !is_known(expression))
		return ERR_INVALID;

	pcre2_code *code = compile(expression);
	if (!code)
		return ERR_INVALID;
	struct topic_pattern *p = NEW(struct topic_pattern);
	p->code = code;
	p->match = pcre2_match_data_create(1, NULL);
	p->limits = pcre2_match_context_create(NULL);
	if (!p->match || !p->limits) {
		topic_pattern_free(p);
		return ERR_INVALID;
	}
	pcre2_set_match_limit(p->limits, TOPIC_PATTERN_STEPS_MAX);
	pcre2_set_depth_limit(p->limits, TOPIC_PATTERN_STEPS_MAX);
	pcre2_set_heap_limit(p->limits, TOPIC_PATTERN_HEAP_KIB_MAX);
	*ret = p;
	return OK;
}

void topic_pattern_free(struct topic_pattern *p)
{
	if (!p)
		return;
	pcre2_match_context_free(p->limits);
	pcre2_match_data_free(p->match);
	pcre2_code_free(p->code);
	memory_free(p);
}

bool topic_pattern_matches(const struct topic_pattern *p, struct slice name)
{
	return pcre2_match(p->code, name.data, name.size, 0, 0, p->match, p->limits) >= 0;
}

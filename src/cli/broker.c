#include "cli/broker.h"

#include "cli/output.h"
#include "wire/kafka/errors.h"

struct refusal {
	int16_t error_code;
	enum command_status status;
	const char *text;
};

/* What is not listed is COMMAND_REFUSED. */
static const struct refusal refusals[] = {
	{ KAFKA_UNKNOWN_TOPIC_OR_PARTITION, COMMAND_NOT_FOUND, "there is no such topic" },
	{ KAFKA_GROUP_ID_NOT_FOUND, COMMAND_NOT_FOUND, "there is no such group" },
	{ KAFKA_TRANSACTIONAL_ID_NOT_FOUND, COMMAND_NOT_FOUND,
	  "there is no such transactional id" },
	{ KAFKA_TOPIC_ALREADY_EXISTS, COMMAND_REFUSED, "it exists already" },
	{ KAFKA_INVALID_TOPIC_EXCEPTION, COMMAND_REFUSED,
	  "a name has 1 to 249 letters, digits, dots, dashes or underscores" },
	{ KAFKA_INVALID_PARTITIONS, COMMAND_REFUSED, "not a possible number of partitions" },
	{ KAFKA_NON_EMPTY_GROUP, COMMAND_REFUSED, "it has members, which have to stop first" },
	{ KAFKA_INVALID_GROUP_ID, COMMAND_REFUSED, "not a possible name of a group" },
	{ KAFKA_LEADER_NOT_AVAILABLE, COMMAND_UNREACHABLE, "no leader at the moment" },
	{ KAFKA_NOT_LEADER_OR_FOLLOWER, COMMAND_UNREACHABLE, "another broker serves it" },
	{ KAFKA_REQUEST_TIMED_OUT, COMMAND_UNREACHABLE,
	  "it was not done in time, and may be done yet" },
	{ KAFKA_BROKER_NOT_AVAILABLE, COMMAND_UNREACHABLE, "no broker at the moment" },
	{ KAFKA_NETWORK_EXCEPTION, COMMAND_UNREACHABLE, "the server lost a connection of its own" },
	{ KAFKA_COORDINATOR_LOAD_IN_PROGRESS, COMMAND_UNREACHABLE, "it is being loaded" },
	{ KAFKA_COORDINATOR_NOT_AVAILABLE, COMMAND_UNREACHABLE, "no coordinator at the moment" },
	{ KAFKA_NOT_COORDINATOR, COMMAND_UNREACHABLE, "another broker coordinates it" },
	{ KAFKA_NOT_CONTROLLER, COMMAND_UNREACHABLE, "another broker decides" },
	{ KAFKA_KAFKA_STORAGE_ERROR, COMMAND_UNREACHABLE, "the storage failed" },
};

enum command_status broker_refused(const char *what, int16_t error_code, struct slice message)
{
	const struct refusal *found = NULL;

	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		if (refusals[i].error_code == error_code)
			found = &refusals[i];
	if (message.size == 0)
		message = found ? slice_from(found->text) : SLICE("refused");
	say("%s: %.*s (%s)", what, SLICE_ARG(message), kafka_error_name(error_code));
	return found ? found->status : COMMAND_REFUSED;
}

static enum command_status sign_in(struct broker *b)
{
	struct sign_in_identity identity;

	if (!credentials_are_given(&b->credentials))
		return COMMAND_DONE;
	enum command_status status = credentials_read(&b->credentials, &identity);
	if (status)
		return status;
	enum err err = kafka_client_sign_in(&b->client, &identity);
	b->has_signed_in = err == OK;
	if (!err)
		return COMMAND_DONE;
	say("%s did not let %s sign in: %s", b->address.text, credentials_who(&b->credentials),
	    b->client.why);
	return err == ERR_DENIED || err == ERR_INVALID || err == ERR_UNSUPPORTED
		       ? COMMAND_REFUSED
		       : COMMAND_UNREACHABLE;
}

enum command_status broker_stay_signed_in(struct broker *b)
{
	return kafka_client_session_ends(&b->client) ? sign_in(b) : COMMAND_DONE;
}

static enum command_status connect_named(struct broker *b)
{
	enum err err =
		kafka_client_open(&b->client, b->address.host, b->address.port, b->identity, 0);
	if (!err)
		return sign_in(b);
	say("%s does not serve Kafka: %s", b->address.text, b->client.why);
	if (b->identity)
		say_more("Over TLS, since there is --ca or --certificate.");
	else
		say_more(
			"Does `hanse serve` run there?  --kafka HOST:PORT names another server, and"
			" --ca FILE one that speaks TLS.");
	return err == ERR_DENIED ? COMMAND_REFUSED : COMMAND_UNREACHABLE;
}

enum command_status broker_open(struct broker *b, const struct command_line *l)
{
	struct sign_in_identity identity;
	char why[COMMAND_WHY_BYTES];

	*b = (struct broker) { .client.socket.fd = -1 };
	arena_init(&b->arena);
	if (command_line_kafka(l, &b->address, why)) {
		say("%s", why);
		return COMMAND_MISUSED;
	}
	enum command_status status = trust_read(&b->trust, l);
	if (!status)
		status = trust_identity(&b->trust, b->address.host, &b->identity);
	if (!status)
		status = credentials_choose(&b->credentials, l);
	if (!status && credentials_are_given(&b->credentials)) /* before a broker's clock runs */
		status = credentials_read(&b->credentials, &identity);
	return status ? status : connect_named(b);
}

void broker_close(struct broker *b)
{
	kafka_client_close(&b->client);
	if (b->identity)
		tls_identity_free(b->identity);
	trust_done(&b->trust);
	credentials_done(&b->credentials);
	arena_done(&b->arena);
}

enum command_status broker_ask(struct broker *b, enum kafka_api_key key, int version_max,
			       const void *request, void *ret)
{
	int version = kafka_client_version(&b->client, key, version_max);

	if (version < 0) {
		say("%s speaks no version of %s that this program knows", b->address.text,
		    kafka_api_find((int16_t)key)->name);
		return COMMAND_REFUSED;
	}
	enum command_status status = broker_stay_signed_in(b);
	if (status)
		return status;
	enum err err = kafka_client_call(&b->arena, &b->client, key, version, request, ret);
	if (!err)
		return COMMAND_DONE;
	say("%s did not answer %s: %s", b->address.text, kafka_api_find((int16_t)key)->name,
	    b->client.why);
	if (err == ERR_UNKNOWN && !b->has_signed_in)
		say_more("Where Kafka has users, it closes the connection of whoever does not sign"
			 " in: --as NAME, --token-file FILE, or --certificate FILE --key FILE.");
	return COMMAND_UNREACHABLE;
}

/* Another broker than the one that was named; then it is that one again. */
static enum command_status ask_other(struct broker *b,
				     const struct kafka_metadata_response_broker *other,
				     enum kafka_api_key key, const void *request, void *ret)
{
	const struct kafka_client client = b->client;
	const char *text = b->address.text;
	struct tls_identity *identity;
	char *host = arena_text(&b->arena, other->host);
	enum command_status status = COMMAND_UNREACHABLE;

	b->address.text = arena_format(&b->arena, "%s:%d", host, (int)other->port);
	if (trust_identity(&b->trust, host, &identity)) {
		b->address.text = text;
		return COMMAND_REFUSED;
	}
	if (kafka_client_open(&b->client, host, (uint16_t)other->port, identity, 0)) {
		say("%s, a broker of the same cluster, does not answer: %s", b->address.text,
		    b->client.why);
		say_more("If it has gone, the others answer for it in some seconds.");
	} else {
		status = sign_in(b);
		if (!status)
			status = broker_ask(b, key, INT16_MAX, request, ret);
	}
	kafka_client_close(&b->client);
	if (identity)
		tls_identity_free(identity);
	b->client = client;
	b->address.text = text;
	return status;
}

enum command_status broker_ask_all(struct broker *b, enum kafka_api_key key, const void *request,
				   size_t answer_bytes, struct broker_answers *ret)
{
	struct kafka_metadata_request_topic none;
	struct kafka_metadata_request about = { .topics = &none, .topics_count = 0 };
	struct kafka_metadata_response cluster;

	enum command_status status = broker_ask(b, KAFKA_API_METADATA, INT16_MAX, &about, &cluster);
	if (status)
		return status;
	ret->count = cluster.brokers_count > 1 ? cluster.brokers_count : 1;
	ret->answers = arena_take_array(&b->arena, ret->count, sizeof(*ret->answers));
	for (size_t i = 0; !status && i < ret->count; i++) {
		ret->answers[i] = arena_take(&b->arena, answer_bytes);
		if (ret->count == 1)
			status = broker_ask(b, key, INT16_MAX, request, ret->answers[i]);
		else
			status = ask_other(b, &cluster.brokers[i], key, request, ret->answers[i]);
	}
	return status;
}

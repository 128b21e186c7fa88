/* Any bytes as a DNS message: read in every way, and answered if it is a query. */
#include "wire/dns/message.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void read_records(struct slice message)
{
	struct dns_reader r = { .message = message };
	struct dns_header header;
	struct dns_question question;
	struct dns_record record;
	char text[DNS_NAME_TEXT_BYTES];

	if (dns_read_header(&r, &header) || dns_read_question(&r, &question))
		return;
	dns_name_text(&question.name, text);
	while (dns_read_record(&r, &record) == OK) {
		struct dns_name again;
		struct dns_reader inner = { .message = message, .at = record.data_at };

		dns_name_text(&record.name, text);
		check(record.name.size > 0 && record.data_at + record.data.size == r.at);
		if (dns_read_name(&inner, &again) == OK)
			dns_name_text(&again, text);
	}
}

static void answer(struct slice message, const struct dns_query *query)
{
	struct dns_writer w;
	struct buf out;
	static const uint8_t address[4] = { 100, 64, 0, 1 };

	buf_init(&out);
	dns_answer_begin(&w, &out, query, message, query->udp_bytes);
	for (int i = 0; i < 100; i++)
		dns_answer_add(&w, DNS_ANSWER, &query->question.name, DNS_A, 5,
			       (struct slice) { address, sizeof(address) });
	dns_answer_end(&w, DNS_NOERROR, DNS_AUTHORITATIVE);
	check(out.size <= query->udp_bytes);
	check(dns_is_response_to(buf_slice(&out), query));
	buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice message = { data, size };
	struct dns_query query;

	read_records(message);
	if (dns_read_query(message, &query) == OK)
		answer(message, &query);
	else
		(void)dns_is_response_to(message, &query);
	return 0;
}

/* What is sent is what `nft` would make of
 *
 *	table ip hanse {
 *		chain postrouting {
 *			type nat hook postrouting priority 100;
 *			ip saddr 100.64.0.0/10 oifname != "hanse0" masquerade
 *		}
 *	}
 *
 * as one transaction (a batch), so there is all of it or nothing. */
#include "loop/nat.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/scope.h"

enum {
	SOURCE_PRIORITY = 100,
	V4_SOURCE_AT = 12,
	V6_SOURCE_AT = 8,
	ANSWER_BYTES = 8192,
	ANSWER_S = 2,
};

static const char table_name[] = "hanse", chain_name[] = "postrouting";

/* --- messages --------------------------------------------------------------------------------- */
struct batch {
	struct buf bytes;
	size_t message; /* where the last one begins */
	uint32_t sequence;
};

static size_t begin_message(struct batch *b, uint16_t type, uint16_t flags, uint8_t family,
			    uint16_t resource)
{
	struct nlmsghdr head = { .nlmsg_type = type,
				 .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags),
				 .nlmsg_seq = ++b->sequence };
	struct nfgenmsg what = { .nfgen_family = family,
				 .version = NFNETLINK_V0,
				 .res_id = htons(resource) };

	b->message = b->bytes.size;
	buf_add(&b->bytes, &head, sizeof(head));
	buf_add(&b->bytes, &what, sizeof(what));
	return b->message;
}

static void end_message(struct batch *b)
{
	uint32_t size = (uint32_t)(b->bytes.size - b->message);

	memcpy(b->bytes.data + b->message, &size, sizeof(size));
}

static void begin_command(struct batch *b, uint16_t command, uint16_t flags, uint8_t family)
{
	begin_message(b, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | command),
		      (uint16_t)(NLM_F_ACK | flags), family, 0);
}

static void add(struct batch *b, uint16_t type, const void *value, size_t size)
{
	struct nlattr head = { .nla_len = (uint16_t)(sizeof(head) + size), .nla_type = type };

	buf_add(&b->bytes, &head, sizeof(head));
	buf_add(&b->bytes, value, size);
	buf_add_zero(&b->bytes, (NLA_ALIGNTO - size % NLA_ALIGNTO) % NLA_ALIGNTO);
}

static void add_text(struct batch *b, uint16_t type, const char *text)
{
	add(b, type, text, strlen(text) + 1);
}

static void add_number(struct batch *b, uint16_t type, uint32_t value)
{
	value = htonl(value);
	add(b, type, &value, sizeof(value));
}

static size_t begin_nested(struct batch *b, uint16_t type)
{
	struct nlattr head = { .nla_type = (uint16_t)(type | NLA_F_NESTED) };
	size_t at = b->bytes.size;

	buf_add(&b->bytes, &head, sizeof(head));
	return at;
}

static void end_nested(struct batch *b, size_t at)
{
	uint16_t size = (uint16_t)(b->bytes.size - at);

	memcpy(b->bytes.data + at, &size, sizeof(size));
}

/* --- expressions ------------------------------------------------------------------------------ */
struct expression {
	size_t element, data;
};

static struct expression begin_expression(struct batch *b, const char *name)
{
	struct expression e = { .element = begin_nested(b, NFTA_LIST_ELEM) };

	add_text(b, NFTA_EXPR_NAME, name);
	e.data = begin_nested(b, NFTA_EXPR_DATA);
	return e;
}

static void end_expression(struct batch *b, struct expression e)
{
	end_nested(b, e.data);
	end_nested(b, e.element);
}

static void add_data(struct batch *b, uint16_t type, const void *value, size_t size)
{
	size_t at = begin_nested(b, type);

	add(b, NFTA_DATA_VALUE, value, size);
	end_nested(b, at);
}

static void compare(struct batch *b, uint32_t how, const void *value, size_t size)
{
	struct expression e = begin_expression(b, "cmp");

	add_number(b, NFTA_CMP_SREG, NFT_REG_1);
	add_number(b, NFTA_CMP_OP, how);
	add_data(b, NFTA_CMP_DATA, value, size);
	end_expression(b, e);
}

static void match_source(struct batch *b, const struct ip_prefix *source)
{
	bool is_v6 = source->ip.family == IP_V6;
	uint32_t size = is_v6 ? 16 : 4;
	uint8_t mask[16] = { 0 }, zeros[16] = { 0 };

	for (unsigned i = 0; i < source->bits; i++)
		mask[i / 8] |= (uint8_t)(0x80 >> i % 8);
	struct expression e = begin_expression(b, "payload");
	add_number(b, NFTA_PAYLOAD_DREG, NFT_REG_1);
	add_number(b, NFTA_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
	add_number(b, NFTA_PAYLOAD_OFFSET, is_v6 ? V6_SOURCE_AT : V4_SOURCE_AT);
	add_number(b, NFTA_PAYLOAD_LEN, size);
	end_expression(b, e);
	e = begin_expression(b, "bitwise");
	add_number(b, NFTA_BITWISE_SREG, NFT_REG_1);
	add_number(b, NFTA_BITWISE_DREG, NFT_REG_1);
	add_number(b, NFTA_BITWISE_LEN, size);
	add_data(b, NFTA_BITWISE_MASK, mask, size);
	add_data(b, NFTA_BITWISE_XOR, zeros, size);
	end_expression(b, e);
	compare(b, NFT_CMP_EQ, source->ip.bytes, size);
}

static void match_other_interface(struct batch *b, const char *interface)
{
	char name[IFNAMSIZ] = "";
	struct expression e = begin_expression(b, "meta");

	add_number(b, NFTA_META_DREG, NFT_REG_1);
	add_number(b, NFTA_META_KEY, NFT_META_OIFNAME);
	end_expression(b, e);
	memcpy(name, interface, strnlen(interface, sizeof(name) - 1));
	compare(b, NFT_CMP_NEQ, name, sizeof(name));
}

/* --- the table -------------------------------------------------------------------------------- */
static uint8_t system_family(const struct ip_prefix *source)
{
	return source->ip.family == IP_V6 ? NFPROTO_IPV6 : NFPROTO_IPV4;
}

static void add_table(struct batch *b, uint8_t family)
{
	begin_command(b, NFT_MSG_NEWTABLE, NLM_F_CREATE, family);
	add_text(b, NFTA_TABLE_NAME, table_name);
	end_message(b);
}

static void remove_table(struct batch *b, uint8_t family)
{
	begin_command(b, NFT_MSG_DELTABLE, 0, family);
	add_text(b, NFTA_TABLE_NAME, table_name);
	end_message(b);
}

static void add_chain(struct batch *b, uint8_t family)
{
	begin_command(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE, family);
	add_text(b, NFTA_CHAIN_TABLE, table_name);
	add_text(b, NFTA_CHAIN_NAME, chain_name);
	size_t hook = begin_nested(b, NFTA_CHAIN_HOOK);
	add_number(b, NFTA_HOOK_HOOKNUM, NF_INET_POST_ROUTING);
	add_number(b, NFTA_HOOK_PRIORITY, SOURCE_PRIORITY);
	end_nested(b, hook);
	add_text(b, NFTA_CHAIN_TYPE, "nat");
	end_message(b);
}

static void add_rule(struct batch *b, const char *interface, const struct ip_prefix *source)
{
	begin_command(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, system_family(source));
	add_text(b, NFTA_RULE_TABLE, table_name);
	add_text(b, NFTA_RULE_CHAIN, chain_name);
	size_t list = begin_nested(b, NFTA_RULE_EXPRESSIONS);
	match_source(b, source);
	match_other_interface(b, interface);
	end_expression(b, begin_expression(b, "masq"));
	end_nested(b, list);
	end_message(b);
}

/* --- sending ---------------------------------------------------------------------------------- */
static void begin_batch(struct batch *b)
{
	*b = (struct batch) { .sequence = 0 };
	buf_init(&b->bytes);
	begin_message(b, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	end_message(b);
}

/* The number of the first error in what the kernel said; 0: none. */
static int first_error(const uint8_t *answer, size_t size, uint32_t *ret_last)
{
	struct slice rest = { answer, size };

	while (rest.size >= sizeof(struct nlmsghdr)) {
		struct nlmsghdr head;
		struct nlmsgerr error;

		memcpy(&head, rest.data, sizeof(head));
		if (head.nlmsg_len < sizeof(head) || head.nlmsg_len > rest.size)
			return EBADMSG;
		if (head.nlmsg_type == NLMSG_ERROR &&
		    head.nlmsg_len >= sizeof(head) + sizeof(error.error)) {
			memcpy(&error.error, rest.data + sizeof(head), sizeof(error.error));
			*ret_last = head.nlmsg_seq;
			if (error.error)
				return -error.error;
		}
		rest = slice_part(rest, NLMSG_ALIGN(head.nlmsg_len), rest.size);
	}
	return 0;
}

/* Each command is acknowledged, the last one by the number `last`. */
static int wait_for_answers(int fd, uint32_t last)
{
	uint8_t answer[ANSWER_BYTES];
	uint32_t seen = 0;

	while (seen < last) {
		ssize_t got = recv(fd, answer, sizeof(answer), 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return errno;
		int code = first_error(answer, (size_t)got, &seen);
		if (code)
			return code;
	}
	return 0;
}

static enum err send_batch(struct batch *b)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct timeval patience = { .tv_sec = ANSWER_S };
	AUTO_FD fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	uint32_t last = b->sequence;
	int code = 0;

	begin_message(b, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	end_message(b);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    sendto(fd, b->bytes.data, b->bytes.size, 0, (struct sockaddr *)&kernel,
		   sizeof(kernel)) < 0)
		code = errno;
	else
		code = wait_for_answers(fd, last);
	buf_done(&b->bytes);
	return code == EPROTONOSUPPORT || code == EOPNOTSUPP ? ERR_UNSUPPORTED
	       : code					     ? err_from_errno(code)
							     : OK;
}

enum err nat_open(const char *interface, const struct ip_prefix *sources, size_t count)
{
	struct batch b;

	nat_close();
	begin_batch(&b);
	for (size_t i = 0; i < count; i++) {
		uint8_t family = system_family(&sources[i]);

		add_table(&b, family);
		add_chain(&b, family);
		add_rule(&b, interface, &sources[i]);
	}
	return send_batch(&b);
}

void nat_close(void)
{
	static const uint8_t families[] = { NFPROTO_IPV4, NFPROTO_IPV6 };

	for (size_t i = 0; i < sizeof(families); i++) {
		struct batch b;

		begin_batch(&b);
		remove_table(&b, families[i]);
		if (send_batch(&b))
			continue; /* there was none */
	}
}

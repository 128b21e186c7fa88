#include "loop/netlink.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"
#include "loop/watch.h"

enum { MESSAGE_BYTES = 512, ANSWER_BYTES = 64 * 1024, INTERFACES_MAX = 1024, ANSWER_S = 2 };

struct netlink {
	int fd;
	uint32_t sequence;
	uint8_t answer[ANSWER_BYTES] __attribute__((aligned(8)));
};

/* --- one message ------------------------------------------------------------------------------ */
struct message {
	struct nlmsghdr header;
	uint8_t body[MESSAGE_BYTES];
};

static void begin(struct message *m, uint16_t type, uint16_t flags, const void *fixed, size_t size)
{
	*m = (struct message) { .header = { .nlmsg_type = type,
					    .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags) } };
	memcpy(m->body, fixed, size);
	m->header.nlmsg_len = (uint32_t)(NLMSG_HDRLEN + NLMSG_ALIGN(size));
}

static void add(struct message *m, uint16_t type, const void *value, size_t size)
{
	size_t at = m->header.nlmsg_len - NLMSG_HDRLEN;
	struct rtattr head = { .rta_type = type, .rta_len = (uint16_t)RTA_LENGTH(size) };

	memcpy(m->body + at, &head, sizeof(head));
	memcpy(m->body + at + RTA_LENGTH(0), value, size);
	m->header.nlmsg_len += (uint32_t)RTA_SPACE(size);
}

static void add_u32(struct message *m, uint16_t type, uint32_t value)
{
	add(m, type, &value, sizeof(value));
}

static void add_ip(struct message *m, uint16_t type, struct ip ip)
{
	add(m, type, ip.bytes, ip_bits(ip) / 8);
}

static uint8_t system_family(uint8_t family)
{
	return family == IP_V6 ? AF_INET6 : AF_INET;
}

static struct ip ip_of(uint8_t family, const struct rtattr *a)
{
	struct ip ip = { .family = family == AF_INET6 ? IP_V6 : IP_V4 };
	size_t size = family == AF_INET6 ? 16 : 4;

	if (RTA_PAYLOAD(a) != size)
		return (struct ip) { .family = IP_NONE };
	memcpy(ip.bytes, RTA_DATA(a), size);
	return ip;
}

static uint32_t u32_of(const struct rtattr *a)
{
	uint32_t value = 0;

	if (RTA_PAYLOAD(a) >= sizeof(value))
		memcpy(&value, RTA_DATA(a), sizeof(value));
	return value;
}

/* What follows the fixed part of a message. */
static struct slice attributes(const struct nlmsghdr *h, size_t fixed)
{
	size_t before = NLMSG_SPACE(fixed);

	if (h->nlmsg_len <= before)
		return (struct slice) { 0 };
	return (struct slice) { (const uint8_t *)h + before, h->nlmsg_len - before };
}

/* NULL: there are no more. */
static const struct rtattr *next(struct slice *rest)
{
	const struct rtattr *a = (const void *)rest->data;

	if (rest->size < sizeof(*a) || a->rta_len < sizeof(*a) || a->rta_len > rest->size)
		return NULL;
	*rest = slice_part(*rest, RTA_ALIGN(a->rta_len), rest->size);
	return a;
}

/* --- asking ----------------------------------------------------------------------------------- */
enum err netlink_open(struct netlink **ret)
{
	struct timeval patience = { .tv_sec = ANSWER_S };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int on = 1;

	if (fd < 0)
		return err_from_errno(errno);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	struct netlink *n = NEW(struct netlink);
	n->fd = fd;
	*ret = n;
	return OK;
}

void netlink_close(struct netlink *n)
{
	if (!n)
		return;
	close(n->fd);
	memory_free(n);
}

typedef void (*on_message)(void *context, const struct nlmsghdr *message);

/* One read of the answer; `*is_over` when it ends there. */
static int take_answer(struct netlink *n, on_message take, void *context, bool *is_over)
{
	ssize_t got = recv(n->fd, n->answer, sizeof(n->answer), 0);

	if (got < 0)
		return errno == EINTR ? 0 : errno;
	struct slice rest = { n->answer, (size_t)got };
	while (rest.size >= sizeof(struct nlmsghdr)) {
		const struct nlmsghdr *h = (const void *)rest.data;

		if (h->nlmsg_len < sizeof(*h) || h->nlmsg_len > rest.size)
			return EBADMSG;
		rest = slice_part(rest, NLMSG_ALIGN(h->nlmsg_len), rest.size);
		if (h->nlmsg_seq != n->sequence)
			continue; /* of a request that was given up */
		if (h->nlmsg_type == NLMSG_DONE) {
			*is_over = true;
			return 0;
		}
		if (h->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *e = NLMSG_DATA(h);
			*is_over = true;
			return -e->error;
		}
		if (take)
			take(context, h);
	}
	return 0;
}

/* Sends, and takes answers until the kernel says that it is done; errno's number, or 0. */
static int ask(struct netlink *n, struct message *m, on_message take, void *context)
{
	bool is_over = false;
	int code = 0;

	m->header.nlmsg_seq = ++n->sequence;
	if (send(n->fd, m, m->header.nlmsg_len, 0) < 0)
		return errno;
	while (!is_over && code == 0)
		code = take_answer(n, take, context, &is_over);
	return code;
}

static enum err change(struct netlink *n, struct message *m, int harmless)
{
	m->header.nlmsg_flags |= NLM_F_ACK;
	int code = ask(n, m, NULL, NULL);

	return code == 0 || code == harmless ? OK : err_from_errno(code);
}

/* --- addresses -------------------------------------------------------------------------------- */
struct listing {
	struct netlink_address *addresses;
	size_t count;
	uint32_t up[INTERFACES_MAX / 32], loopback[INTERFACES_MAX / 32];
};

static bool has_bit(const uint32_t *bits, uint32_t index)
{
	return index < INTERFACES_MAX && bits[index / 32] >> index % 32 & 1;
}

static void on_link(void *context, const struct nlmsghdr *h)
{
	struct listing *l = context;
	const struct ifinfomsg *link = NLMSG_DATA(h);
	uint32_t index = (uint32_t)link->ifi_index;

	if (h->nlmsg_type != RTM_NEWLINK || index >= INTERFACES_MAX)
		return;
	if ((link->ifi_flags & IFF_UP) && (link->ifi_flags & IFF_RUNNING))
		l->up[index / 32] |= 1U << index % 32;
	if (link->ifi_flags & IFF_LOOPBACK)
		l->loopback[index / 32] |= 1U << index % 32;
}

static void on_address(void *context, const struct nlmsghdr *h)
{
	struct listing *l = context;
	const struct ifaddrmsg *m = NLMSG_DATA(h);
	struct ip address = { .family = IP_NONE };
	uint32_t flags = m->ifa_flags;
	bool is_local_known = false;
	struct slice rest = attributes(h, sizeof(*m));

	if (h->nlmsg_type != RTM_NEWADDR || l->count == NETLINK_ADDRESSES_MAX)
		return;
	for (const struct rtattr *a = next(&rest); a; a = next(&rest)) {
		if (a->rta_type == IFA_LOCAL || (a->rta_type == IFA_ADDRESS && !is_local_known))
			address = ip_of(m->ifa_family, a);
		is_local_known |= a->rta_type == IFA_LOCAL;
		if (a->rta_type == IFA_FLAGS)
			flags = u32_of(a);
	}
	if (address.family == IP_NONE)
		return;
	bool is_v6_link = address.family == IP_V6 && address.bytes[0] == 0xfe &&
			  (address.bytes[1] & 0xc0) == 0x80;
	bool is_v4_link =
		address.family == IP_V4 && address.bytes[0] == 169 && address.bytes[1] == 254;
	l->addresses[l->count++] = (struct netlink_address) {
		.prefix = { address, m->ifa_prefixlen },
		.interface = m->ifa_index,
		.is_loopback = has_bit(l->loopback, m->ifa_index) ||
			       (address.family == IP_V4 && address.bytes[0] == 127),
		.is_link_local = is_v6_link || is_v4_link,
		.is_usable = has_bit(l->up, m->ifa_index) &&
			     !(flags & (IFA_F_TENTATIVE | IFA_F_DEPRECATED | IFA_F_DADFAILED)),
	};
}

enum err netlink_addresses(struct netlink *n, struct netlink_address ret[NETLINK_ADDRESSES_MAX],
			   size_t *ret_count)
{
	struct listing l = { .addresses = ret };
	struct ifinfomsg link = { .ifi_family = AF_UNSPEC };
	struct ifaddrmsg address = { .ifa_family = AF_UNSPEC };
	struct message m;

	begin(&m, RTM_GETLINK, NLM_F_DUMP, &link, sizeof(link));
	int code = ask(n, &m, on_link, &l);
	if (code == 0) {
		begin(&m, RTM_GETADDR, NLM_F_DUMP, &address, sizeof(address));
		code = ask(n, &m, on_address, &l);
	}
	if (code)
		return err_from_errno(code);
	*ret_count = l.count;
	return OK;
}

static enum err change_address(struct netlink *n, uint16_t type, uint16_t flags, uint32_t interface,
			       struct ip_prefix prefix, bool is_for_services)
{
	struct ifaddrmsg address = {
		.ifa_family = system_family(prefix.ip.family),
		.ifa_prefixlen = prefix.bits,
		.ifa_index = interface,
		.ifa_scope = is_for_services ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE,
	};
	struct ifa_cacheinfo lives = { .ifa_prefered = is_for_services ? 0 : UINT32_MAX,
				       .ifa_valid = UINT32_MAX };
	struct message m;

	begin(&m, type, flags, &address, sizeof(address));
	add_ip(&m, IFA_LOCAL, prefix.ip);
	add_ip(&m, IFA_ADDRESS, prefix.ip);
	if (type == RTM_NEWADDR) {
		add(&m, IFA_CACHEINFO, &lives, sizeof(lives));
		/* No other machine can have it, and who listens at once must not fail. */
		if (prefix.ip.family == IP_V6)
			add_u32(&m, IFA_FLAGS, IFA_F_NODAD | IFA_F_NOPREFIXROUTE);
	}
	return change(n, &m, type == RTM_NEWADDR ? EEXIST : EADDRNOTAVAIL);
}

enum err netlink_add_address(struct netlink *n, uint32_t interface, struct ip_prefix prefix,
			     bool is_for_services)
{
	return change_address(n, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, interface, prefix,
			      is_for_services);
}

enum err netlink_remove_address(struct netlink *n, uint32_t interface, struct ip_prefix prefix)
{
	return change_address(n, RTM_DELADDR, 0, interface, prefix, false);
}

/* --- links and routes ------------------------------------------------------------------------- */
enum err netlink_link_up(struct netlink *n, uint32_t interface, uint32_t mtu)
{
	struct ifinfomsg link = { .ifi_family = AF_UNSPEC,
				  .ifi_index = (int)interface,
				  .ifi_flags = IFF_UP,
				  .ifi_change = IFF_UP };
	struct message m;

	begin(&m, RTM_NEWLINK, 0, &link, sizeof(link));
	add_u32(&m, IFLA_MTU, mtu);
	return change(n, &m, 0);
}

static void begin_route(struct message *m, uint16_t type, uint16_t flags, uint32_t interface,
			uint32_t table, struct ip_prefix prefix)
{
	struct rtmsg route = {
		.rtm_family = system_family(prefix.ip.family),
		.rtm_dst_len = prefix.bits,
		.rtm_table = RT_TABLE_UNSPEC,
		.rtm_protocol = RTPROT_STATIC,
		.rtm_scope = prefix.ip.family == IP_V6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
		.rtm_type = RTN_UNICAST,
	};

	begin(m, type, flags, &route, sizeof(route));
	add_ip(m, RTA_DST, prefix.ip);
	add_u32(m, RTA_OIF, interface);
	add_u32(m, RTA_TABLE, table);
}

enum err netlink_add_route(struct netlink *n, uint32_t interface, uint32_t table,
			   struct ip_prefix prefix, struct ip source)
{
	struct message m;

	begin_route(&m, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, interface, table, prefix);
	if (source.family == prefix.ip.family)
		add_ip(&m, RTA_PREFSRC, source);
	return change(n, &m, EEXIST);
}

enum err netlink_remove_route(struct netlink *n, uint32_t interface, uint32_t table,
			      struct ip_prefix prefix)
{
	struct message m;

	begin_route(&m, RTM_DELROUTE, 0, interface, table, prefix);
	return change(n, &m, ESRCH);
}

static void on_route(void *context, const struct nlmsghdr *h)
{
	struct netlink_route *ret = context;
	const struct rtmsg *m = NLMSG_DATA(h);
	struct slice rest = attributes(h, sizeof(*m));

	if (h->nlmsg_type != RTM_NEWROUTE)
		return;
	for (const struct rtattr *a = next(&rest); a; a = next(&rest)) {
		if (a->rta_type == RTA_GATEWAY)
			ret->gateway = ip_of(m->rtm_family, a);
		else if (a->rta_type == RTA_PREFSRC)
			ret->source = ip_of(m->rtm_family, a);
		else if (a->rta_type == RTA_OIF)
			ret->interface = u32_of(a);
	}
}

enum err netlink_route_to(struct netlink *n, struct ip to, uint32_t mark, struct netlink_route *ret)
{
	struct rtmsg route = { .rtm_family = system_family(to.family),
			       .rtm_dst_len = (uint8_t)ip_bits(to) };
	struct netlink_route found = { .interface = 0 };
	struct message m;

	begin(&m, RTM_GETROUTE, NLM_F_ACK, &route, sizeof(route));
	add_ip(&m, RTA_DST, to);
	if (mark)
		add_u32(&m, RTA_MARK, mark);
	int code = ask(n, &m, on_route, &found);
	if (code == ENETUNREACH || code == EHOSTUNREACH || code == ESRCH)
		return ERR_NOT_FOUND;
	if (code)
		return err_from_errno(code);
	*ret = found;
	return OK;
}

/* --- rules ------------------------------------------------------------------------------------ */
enum err netlink_add_rule(struct netlink *n, const struct netlink_rule *rule)
{
	struct fib_rule_hdr head = { .family = system_family(rule->family),
				     .action = rule->table ? FR_ACT_TO_TBL : FR_ACT_UNREACHABLE };
	struct message m;

	begin(&m, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, &head, sizeof(head));
	add_u32(&m, FRA_PRIORITY, rule->priority);
	if (rule->table)
		add_u32(&m, FRA_TABLE, rule->table);
	if (rule->mark) {
		add_u32(&m, FRA_FWMARK, rule->mark);
		add_u32(&m, FRA_FWMASK, UINT32_MAX);
	}
	if (rule->is_without_default)
		add_u32(&m, FRA_SUPPRESS_PREFIXLEN, 0);
	return change(n, &m, EEXIST);
}

struct rule_search {
	uint32_t first, last, found;
	bool is_found;
};

static void on_rule(void *context, const struct nlmsghdr *h)
{
	struct rule_search *search = context;
	struct slice rest = attributes(h, sizeof(struct fib_rule_hdr));

	if (h->nlmsg_type != RTM_NEWRULE)
		return;
	for (const struct rtattr *a = next(&rest); a; a = next(&rest)) {
		uint32_t priority = a->rta_type == FRA_PRIORITY ? u32_of(a) : 0;

		if (priority < search->first || priority > search->last)
			continue;
		search->found = priority;
		search->is_found = true;
	}
}

enum err netlink_remove_rules(struct netlink *n, uint8_t family, uint32_t first, uint32_t last)
{
	struct fib_rule_hdr head = { .family = system_family(family) };

	for (;;) {
		struct rule_search search = { .first = first, .last = last };
		struct message m;

		begin(&m, RTM_GETRULE, NLM_F_DUMP, &head, sizeof(head));
		int code = ask(n, &m, on_rule, &search);
		if (code)
			return code == EAFNOSUPPORT ? OK : err_from_errno(code);
		if (!search.is_found)
			return OK;
		begin(&m, RTM_DELRULE, 0, &head, sizeof(head));
		add_u32(&m, FRA_PRIORITY, search.found);
		enum err err = change(n, &m, ENOENT);
		if (err)
			return err;
	}
}

/* --- being told ------------------------------------------------------------------------------- */
struct netlink_watch {
	int fd;
	struct watch *watch;
	void (*on_change)(void *context);
	void *context;
};

static void on_event(void *context, int fd, bool is_readable, bool is_writable)
{
	struct netlink_watch *w = context;
	uint8_t bytes[8192];
	bool is_changed = false;

	(void)is_readable;
	(void)is_writable;
	/* What is in the messages does not matter: who is told asks for everything anew.  So a full
	 * queue (ENOBUFS) is a change too. */
	for (;;) {
		ssize_t got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

		if (got < 0 && errno != ENOBUFS && errno != EINTR)
			break;
		is_changed = true;
	}
	if (is_changed)
		w->on_change(w->context);
}

struct netlink_watch *netlink_watch_open(struct loop *loop, void (*on_change)(void *context),
					 void *context)
{
	struct sockaddr_nl to = { .nl_family = AF_NETLINK,
				  .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR |
					       RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE |
					       RTMGRP_IPV6_ROUTE };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0)
		return NULL;
	struct netlink_watch *w = NEW(struct netlink_watch);
	*w = (struct netlink_watch) { .fd = fd, .on_change = on_change, .context = context };
	if (bind(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		w->watch = watch_open(loop, fd, on_event, w);
	if (!w->watch) {
		close(fd);
		memory_free(w);
		return NULL;
	}
	watch_set(w->watch, true, false);
	return w;
}

void netlink_watch_close(struct netlink_watch *w)
{
	watch_close(w->watch);
	close(w->fd);
	memory_free(w);
}

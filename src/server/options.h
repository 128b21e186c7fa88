/* What `hanse serve` and `hanse up` can be told: one table, from which flags, environment, file and
 * help are made.  Each of the two has its part of the rows; environment and file may hold rows of
 * the other one, which are passed over.
 *
 * A flag wins over the environment (HANSE_NAME), which wins over the file (name = value), which
 * wins over the default.  Unknown names are errors that suggest the nearest known one. */
#ifndef SERVER_OPTIONS_H
#define SERVER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

enum {
	OPTION_VALUE_BYTES_MAX = 1024,
	OPTION_WHY_BYTES = 300,
	OPTION_HOST_BYTES = 256,
	OPTION_PATH_BYTES = 108, /* of a Unix socket, as the system has it */
	OPTION_CONTROLS_MAX = 16,
	OPTION_AGENTS_MAX = 16,
	REALM_PORT_DEFAULT = 8641,	/* TCP: control of the mesh */
	REALM_PEER_PORT_DEFAULT = 8642, /* TCP: between machines that run control of the mesh */
	RELAY_PORT_DEFAULT = 8643,	/* TCP: DERP */
	STUN_PORT_DEFAULT = 3478,	/* UDP */
	WIREGUARD_PORT_DEFAULT = 41641, /* UDP */
	METRICS_PORT_DEFAULT = 8644,	/* TCP: of `hanse up` */
	METRICS_PORT_DISTANCE = 200,	/* of `hanse serve`, from that of Kafka */
	RELAY_RATE_MIN = 1000,
	RELAY_RATE_MAX = 1000 * 1000 * 1000,
	RELAY_REGION_MIN = 900,
	RELAY_REGION_MAX = 999, /* those that users may choose */
};

#define OPTIONS_FILE_DEFAULT "/etc/hanse/hanse.conf"

enum option {
	OPTION_BUCKET,
	OPTION_JOURNAL,
	OPTION_KAFKA,
	OPTION_KAFKA_ALSO,
	OPTION_ADVERTISE,
	OPTION_AGENTS,
	OPTION_PEER,
	OPTION_BLOCKS,
	OPTION_SITE,
	OPTION_ROLES,
	OPTION_CONTROL,
	OPTION_KEY_FILE,
	OPTION_SEAL,
	OPTION_NEW_CLUSTER,
	OPTION_DEFAULT_PARTITIONS,
	OPTION_KAFKA_CERTIFICATE,
	OPTION_KAFKA_CERTIFICATE_KEY,
	OPTION_KAFKA_CLIENT_CA,
	OPTION_KAFKA_JWKS,
	OPTION_KAFKA_TOKEN_ISSUER,
	OPTION_KAFKA_TOKEN_AUDIENCE,
	OPTION_KAFKA_REAUTH_MS,
	OPTION_KAFKA_OPEN,
	OPTION_AUTO_CREATE_TOPICS,
	OPTION_PUTS_PER_SECOND,
	OPTION_RUN_DIR,
	OPTION_METRICS,
	OPTION_METRICS_LAG,
	OPTION_LOG_LEVEL,
	OPTION_JOIN,
	OPTION_ADDRESS,
	OPTION_STATE,
	OPTION_NAME,
	OPTION_DOMAIN,
	OPTION_REALM,
	OPTION_RELAY,
	OPTION_STUN,
	OPTION_CERTIFICATE,
	OPTION_CERTIFICATE_KEY,
	OPTION_REGION,
	OPTION_RELAY_MATES,
	OPTION_RELAY_MESH_KEY,
	OPTION_RELAY_RATE,
	OPTION_PORT,
	OPTION_TUN,
	OPTION_PEER_RELAY,
	OPTION_LOGIN_SERVER,
	OPTION_TAGS,
	OPTION_ADVERTISE_ROUTES,
	OPTION_ADVERTISE_EXIT_NODE,
	OPTION_ACCEPT_ROUTES,
	OPTION_EXIT_NODE,
	OPTION_ACCEPT_DNS,
	OPTION_HOSTS,
	OPTION_FORWARD_DNS,
	OPTION_INBOX_QUOTA,
	OPTION_INBOX_SENDER_QUOTA,
	OPTION_INBOX_RESERVE,
	OPTION_INBOX_KEEP_DAYS,
	OPTION_BACKGROUND,
	OPTION_COUNT
};

enum option_command { OPTIONS_SERVE, OPTIONS_UP };

/* Which command has the option. */
enum option_users { FOR_SERVE, FOR_UP, FOR_BOTH };

/* The processes of a node, in the order in which they start; they stop the other way round. */
enum role_kind {
	ROLE_CONTROL,
	ROLE_STREAMS,
	ROLE_REALM,
	ROLE_RELAY,
	ROLE_MESH,
	ROLE_NAMES,
	ROLE_DROP,
	ROLE_METRICS, /* of both commands, and not of --roles: --metrics says */
	ROLE_COUNT
};

struct option_row {
	const char *name;     /* of the flag, without dashes */
	const char *argument; /* "HOST:PORT"; NULL: a switch, given without a value or with =yes */
	const char *value;    /* default; NULL: derived, see options_finish() */
	const char *help;
	enum option_users users;
};

extern const struct option_row option_rows[OPTION_COUNT];

struct address {
	char host[OPTION_HOST_BYTES];
	uint16_t port;
};

/* One of --control. */
struct control_option {
	char path[OPTION_PATH_BYTES]; /* of a Unix socket; "": */
	struct address address;	      /* the peer address of control elsewhere */
};

struct options {
	enum option_command command;			   /* set first */
	char values[OPTION_COUNT][OPTION_VALUE_BYTES_MAX]; /* "" until known, or not needed */
	/* from options_finish() */
	struct address kafka, advertise, peer;
	char peer_listen[OPTION_HOST_BYTES]; /* the host to listen on, at the port of `peer` */
	struct address blocks; /* where agents of the site ask for blocks; host "": nowhere */
	char blocks_listen[OPTION_HOST_BYTES];
	int32_t default_partitions;
	int agent_count;	  /* processes of streams, with ports one after the other */
	int puts_per_s;		  /* of data files, where requests cost; of all of them */
	uint64_t kafka_reauth_ms; /* clients sign in again before that; 0: need not */
	bool has_control, has_streams;
	bool is_sealed;	 /* --seal */
	bool may_create; /* --new-cluster */
	bool auto_creates_topics;
	struct control_option controls[OPTION_CONTROLS_MAX]; /* for streams: one or more */
	size_t control_count;
	bool roles[ROLE_COUNT];
	bool has_metrics;	/* --metrics is not none */
	struct address metrics; /* where they are */
	bool tells_lag;		/* of consumer groups */
	/* of `hanse up` */
	struct address address; /* how others reach this machine's control; host "": nobody said
				      */
	struct address realm_listen; /* what control of the mesh listens on */
	struct address relay_listen, stun_listen;
	uint16_t second_stun_port; /* 0: none */
	int region;		   /* of the relay; 0: any that is free */
	uint64_t relay_rate;	   /* bytes a second of each client; 0: no limit */
	uint16_t wireguard_port;
	uint16_t peer_relay_port;				 /* 0: none */
	uint64_t inbox_quota, inbox_sender_quota, inbox_reserve; /* bytes */
	uint32_t inbox_keep_days;
};

/* Each fills only what is still unknown, so the strongest source comes first.  `why` is a whole
 * sentence for the person who started the program. */
MUST_CHECK enum err options_from_flags(struct options *o, char **argv, char why[OPTION_WHY_BYTES]);
MUST_CHECK enum err options_from_environment(struct options *o, char **environment,
					     char why[OPTION_WHY_BYTES]);
MUST_CHECK enum err options_from_file(struct options *o, const char *path, /* absent is fine */
				      char why[OPTION_WHY_BYTES]);

/* Defaults, and everything read as what it means.  What no role of the node needs gets no default.
 */
MUST_CHECK enum err options_finish(struct options *o, char why[OPTION_WHY_BYTES]);

/* Paths of this node's sockets: named for the Kafka port, so nodes may share a directory. */
void options_control_path(const struct options *o, char ret[OPTION_VALUE_BYTES_MAX + 32]);
void options_admin_path(const char *run_dir, uint16_t kafka_port,
			char ret[OPTION_VALUE_BYTES_MAX + 32]);

/* The default of --run-dir. */
void options_run_dir(char ret[OPTION_VALUE_BYTES_MAX]);

/* The options of one command. */
void options_print(FILE *out, enum option_command command);

/* For serve_options.c and up_options.c: "HOST:PORT" of one option, or ERR_INVALID and why. */
MUST_CHECK enum err options_read_address(const struct options *o, int option, struct address *ret,
					 char why[OPTION_WHY_BYTES]);
/* And for both: --journal, --seal and --new-cluster, once their values are known. */
MUST_CHECK enum err options_read_journal(struct options *o, char why[OPTION_WHY_BYTES]);

/* The name of a role, as in --roles. */
const char *role_name(enum role_kind role);

#endif

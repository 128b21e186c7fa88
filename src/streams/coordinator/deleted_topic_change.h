/* Deleted topics, as the administrator of the machine changes them: through the socket that only
 * its owner can open, so nobody is asked who they are.  Kafka has no request for it. */
#ifndef STREAMS_COORDINATOR_DELETED_TOPIC_CHANGE_H
#define STREAMS_COORDINATOR_DELETED_TOPIC_CHANGE_H

#include "cells/leader.h"

struct coordinator;

enum deleted_topic_action { DELETED_TOPIC_RESTORE, DELETED_TOPIC_PURGE, DELETED_TOPIC_PURGE_ALL };

/* A child task.  OK: it is durable.  ERR_NOT_FOUND: none is called that, or has that id;
 * ERR_CONFLICT: it is too late, its records are being removed; of RESTORE also ERR_EXISTS (the
 * name is taken, or one that differs only in . and _), ERR_INVALID (that is no name), ERR_FULL
 * (there are too many topics).  ERR_UNAVAILABLE: this node does not lead. */
struct deleted_topic_change {
	struct task task;
	struct coordinator *coordinator;
	enum deleted_topic_action action;
	struct slice topic; /* name or id; borrowed until it is done, as is `name` */
	struct slice name;  /* of RESTORE, to be had from now on; empty: the one it had */
	size_t count;	    /* out, of topics */

	/* private */
	struct leader_call call;
};

/* With action, topic and name filled in. */
void deleted_topic_change_start(struct deleted_topic_change *d, struct task *parent,
				struct coordinator *c);

#endif

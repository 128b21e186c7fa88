/* What an agent says of itself: whether clients should be told of it.  The numbers go over the wire
 * (peer.schema), so they are never changed, only added to. */
#ifndef WIRE_PEER_CONDITION_H
#define WIRE_PEER_CONDITION_H

enum agent_condition {
	AGENT_SERVES = 0,
	AGENT_OPENS = 1, /* is here, and does not serve Kafka (yet) */
	AGENT_SICK = 2,	 /* its bucket fails: others are better, if they are not sick too */
	AGENT_LEAVES = 3,
	AGENT_CONDITIONS,
};

#endif

/* What operations that set settings share; catalog/config.h says which there are. */
#ifndef STREAMS_COORDINATOR_CONFIGS_H
#define STREAMS_COORDINATOR_CONFIGS_H

#include "streams/catalog/config.h"

/* Kafka's numbers. */
enum config_operation { CONFIG_SET = 0, CONFIG_DELETE = 1, CONFIG_APPEND = 2, CONFIG_SUBTRACT = 3 };

struct config_change {
	struct slice name;
	struct slice value;
	int8_t operation; /* as received */
};

/* Kafka's code, and why, for settings of a topic that is to be created. */
int16_t config_check_topic(struct arena *a, struct cell *cell, const struct config_change *changes,
			   size_t count, const char **ret_message);

/* Set one, or without data go back to the default. */
MUST_CHECK enum err config_write(struct cell *cell, enum config_kind kind, struct slice resource,
				 struct slice name, struct slice value);

/* Everything that is set for a resource. */
MUST_CHECK enum err config_forget(struct cell *cell, enum config_kind kind, struct slice resource);

#endif

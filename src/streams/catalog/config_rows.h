/* The tables behind config.h, which is to be asked instead. */
#ifndef STREAMS_CATALOG_CONFIG_ROWS_H
#define STREAMS_CATALOG_CONFIG_ROWS_H

#include "streams/catalog/config.h"

extern const struct config_row config_topic_rows[], config_broker_rows[], config_group_rows[];
extern const size_t config_topic_rows_count, config_broker_rows_count, config_group_rows_count;

#endif

/* Packet filter rules from JSON that is already parsed. */
#ifndef WIRE_CONTROL_FILTER_READ_H
#define WIRE_CONTROL_FILTER_READ_H

#include "wire/control/filter.h"
#include "wire/control/json_reader.h"

struct control_rule *rules_read(struct json_reader *r, const json_t *array, size_t *ret_count);

#endif

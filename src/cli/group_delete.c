/* hanse group delete: DeleteGroups. */
#include "cli/broker.h"
#include "cli/output.h"
#include "wire/kafka/errors.h"

enum command_status group_delete_run(const struct command_line *l)
{
	const char *name = l->arguments[0];
	struct slice text = slice_from(name);
	struct kafka_delete_groups_request request = { .groups_names = &text,
						       .groups_names_count = 1 };
	struct kafka_delete_groups_response response;
	struct broker b;

	enum command_status status = broker_open(&b, l);
	if (!status)
		status = broker_ask(&b, KAFKA_API_DELETE_GROUPS, INT16_MAX, &request, &response);
	if (!status && (response.results_count != 1 || response.results[0].error_code))
		status = broker_refused(arena_format(&b.arena, "group %s was not deleted", name),
					response.results_count == 1 ? response.results[0].error_code
								    : KAFKA_UNKNOWN_SERVER_ERROR,
					(struct slice) { 0 });
	else if (!status)
		say("group %s and what it committed were deleted", name);
	broker_close(&b);
	return status;
}

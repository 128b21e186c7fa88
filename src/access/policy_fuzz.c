/* Any bytes as a policy; what is read must be checked, explained and compiled without a fault, and
 * compile must agree with decide.  seeds: test/corpus/policy */
#include <stdlib.h>

#include "access/explain.h"
#include "access/policy_random_testing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(struct arena *a, const struct policy *policy, struct testing_company *company)
{
	struct prng random = { 1 };
	struct compiler *c;
	struct buf out;

	if (compiler_new(policy, &company->world, &c))
		return;
	for (size_t machine = 0; machine < 7; machine++) {
		struct compiled_filter filter;
		bool allowed;

		compiler_filter(c, a, machine, &filter);
		for (int i = 0; i < 20; i++)
			if (!random_question_agrees(&random, policy, company, &filter, machine,
						    &allowed))
				abort();
	}
	compiler_free(c);
	buf_init(&out);
	(void)explain_difference(&(struct explain) { policy, &company->world }, policy, &out);
	if (out.size)
		abort();
	buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy_problems *problems = NEW(struct policy_problems);
	struct testing_company company;
	const struct policy *policy;
	struct arena a;

	testing_company_init(&company);
	arena_init(&a);
	if (policy_parse(&a, (struct slice) { data, size }, &policy, problems)) {
		if (problems->error_count == 0)
			abort();
	} else {
		policy_check(policy, &company.world, problems);
		use(&a, policy, &company);
	}
	arena_done(&a);
	memory_free(problems);
	return 0;
}

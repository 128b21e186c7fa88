# make interop: suites of others against this broker, see test/interop/README.md.  Fetches what they
# need the first time.  TESTS="0012 0029" and MODES="idempotent" run only these of librdkafka's.
.PHONY: interop interop-javascript
interop:
	@tools/install-dependencies interop
	@$(SUBMAKE) $(B)/hanse
	@test/interop/librdkafka.py $(B)/hanse build/interop $(MODES:%=--mode %) $(TESTS)
	$(if $(TESTS)$(MODES),,@$(SUBMAKE) interop-javascript)

# Those of clients in JavaScript, which are skipped by name where they are not to be had.
# TESTS="admin transactions" runs only the files with these in their path, SUITES="kafkajs" its own.
interop-javascript:
	@$(SUBMAKE) $(B)/hanse
	@test/interop/javascript.py $(B)/hanse build/interop $(SUITES:%=--suite %) $(TESTS)

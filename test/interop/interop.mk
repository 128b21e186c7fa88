# make interop: suites of others against this broker, see test/interop/README.md.  Fetches what they
# need the first time.  TESTS="0012 0029" and MODES="idempotent" run only these of librdkafka's.
.PHONY: interop
interop:
	@tools/install-dependencies interop
	@$(SUBMAKE) $(B)/hanse
	@test/interop/librdkafka.py $(B)/hanse build/interop $(MODES:%=--mode %) $(TESTS)

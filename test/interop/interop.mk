# make interop: librdkafka's own test suite against this broker.  Fetches librdkafka through npm
# and builds it below build/interop the first time.  TESTS="0012 0029" runs only these.
.PHONY: interop
interop:
	@tools/install-dependencies interop
	@$(SUBMAKE) $(B)/hanse
	@test/interop/librdkafka.sh $(B)/hanse build/interop $(TESTS)

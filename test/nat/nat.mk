# The path engine over real sockets, for test/scenario/nat.py.
PATH_PEER := $(B)/nat/path_peer

programs: $(PATH_PEER)

$(PATH_PEER): test/nat/path_peer.c $(B)/flags $(ARCHIVES)
	@mkdir -p $(@D)
	$(call run,TEST,$(COMPILE) $(LDFLAGS) -o $@ $< $(filter %.a,$^) $(LIBS))

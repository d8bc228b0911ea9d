# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# The front door; "make help" lists what there is. Everything made is in build/.
.DEFAULT_GOAL := help

TOOLS := memtraffic nic bench iperf3

help:				## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

lib:				## liburing-zcrx
	@scripts/deps lib
	$(MAKE) -s -C liburing-zcrx

tools: lib			## the iperf3 plug-in, zcrx-split, the benchmark, the measuring plug-in
	@scripts/deps tools
	set -e; for tool in $(TOOLS); do $(MAKE) -s -C tools/$$tool; done

examples: lib			## the example programs
	@scripts/deps tools
	$(MAKE) -s -C examples

test:				## all that can be checked here; TESTS='lib vm*' chooses
	@scripts/deps test
	@scripts/runtests $(TESTS)

clean:				## remove build/
	rm -rf build

.PHONY: help lib tools examples test clean

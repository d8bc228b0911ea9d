# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# The front door; "make help" lists what there is. Everything made is in build/.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

TOOLS := memtraffic nic bench iperf3 run zcrxctl zcrxd
INSTALLED := liburing-zcrx $(addprefix tools/,nic iperf3 run zcrxctl zcrxd)
VM_FILES := $(addprefix --file ,iperf3 ping build/tools/iperf3/zcrx-iperf3 \
	build/tools/nic/zcrx-split build/tools/bench/zcrx-bench-recv \
	build/tools/zcrxctl/zcrxctl build/tools/zcrxd/zcrxd build/tools/run/zcrx-run \
	$(addprefix build/examples/,first queue zcrx-relay zcrx-sink storage tensors echo-coro) \
	build/liburing-zcrx/liburing-zcrx.so.0:/usr/local/lib/liburing-zcrx.so.0)

help:				## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

demo: deps-demo kernel tools	## iperf3 in the VM, plain and through zero copy: figures, and build/demo.json
	@scripts/demo

test: deps-test			## all that can be checked here; TESTS='lib iperf3*' chooses
	@scripts/runtests --again $(TESTS)

soak: deps-test			## the long form of the tests of reliability; MINUTES=90 bounds it
	@scripts/runtests --list scripts/tests/soak $(if $(MINUTES),--minutes $(MINUTES)) $(TESTS)

bench: deps-bench kernel kernel-stock tools	## more ways to receive, and the unpatched kernel: build/bench.json
	@scripts/bench

bench-copy: deps-tools tools	## the library's way to copy, beside plain ones, on this machine: build/copy.json
	@build/tools/bench/zcrx-bench-copy --rounds 61 --json build/copy.json

vm: deps-demo kernel tools examples	## a shell in the VM, with NIC, library and tools
	@scripts/vm --shell --peer 'iperf3 -s > /dev/null' $(VM_FILES)

kernel: deps-kernel		## the VM's kernel, with the series: build/kernel/base
	@scripts/kernel base

kernel-debug: deps-kernel	## the same with KASAN, lockdep and friends
	@scripts/kernel debug

kernel-kcsan: deps-kernel	## with KCSAN, which finds data races
	@scripts/kernel kcsan

kernel-stock: deps-kernel	## the distribution's source as it is
	@scripts/kernel stock

kernel-deb: deps-kernel-deb	## Debian packages of a kernel with the series: build/kernel-deb; CONFIG=FILE, else as the running one
	@scripts/kernel-deb $(CONFIG)

lib: deps-lib			## liburing-zcrx
	@$(MAKE) -s -C liburing-zcrx

tools: deps-tools lib		## zcrxctl, zcrxd, zcrx-iperf3, zcrx-split, zcrx-bench-recv, the measuring plug-in
	@set -e; for tool in $(TOOLS); do $(MAKE) -s -C tools/$$tool; done

examples: deps-tools lib	## the example programs
	@$(MAKE) -s -C examples

install:			## library and tools, to DESTDIR and PREFIX (/usr/local)
	@set -e; for part in $(INSTALLED); do $(MAKE) -s -C $$part install; done

deb: deps-deb			## Debian packages of them, in build/deb
	@scripts/deb

series: deps-kernel		## patches for git am on the plain source: build/series
	@scripts/series

lint: deps-lint			## checkpatch, sparse, shellcheck, compilers' warnings
	@scripts/lint

clean:				## remove build/
	rm -rf build

# What is missing of Debian's packages
deps-%:
	@scripts/deps $*

.NOTPARALLEL:
.PHONY: help demo test soak bench bench-copy vm kernel kernel-debug kernel-kcsan kernel-stock kernel-deb lib tools examples \
	install deb series lint clean

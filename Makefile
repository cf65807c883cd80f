# SPDX-License-Identifier: GPL-2.0-only
#
# The commands of kvm-fpr. Everything is built into a cache outside the checkout
# and done again only when something it is made from changed; see CONTRIBUTING.md.

# Choices of "make demo" and "make snapshot", passed on when they are set.
export WORKLOADS MODES KINDS REPEAT GUEST_MIB WIDE

# The versions of QEMU and of Linux that there are patches for.
QEMUS := $(shell sed -nE 's/^([0-9.]+) .*/\1/p' patches/qemu/versions)
KERNELS := $(shell sed -nE 's/^([0-9.]+) .*/\1/p' patches/linux/versions)

# The version of Linux that everything is built for and that the lab boots, when it is set.
ifdef KERNEL
export KVM_FPR_KERNEL := $(KERNEL)
endif

.PHONY: help
help: ## Show this list
	@sed -nE 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22
	@echo
	@echo 'make demo takes WORKLOADS= and MODES= (with commas, or all), REPEAT=,'
	@echo 'GUEST_MIB= and WIDE=1, make snapshot WORKLOADS=, KINDS= (pair, chains),'
	@echo 'REPEAT= and GUEST_MIB=,'
	@echo 'make stress and check-kcsan SECONDS= and SEED=, make soak and fuzz MINUTES='
	@echo 'and SEED=, make fuzz-decoders MINUTES=, make qemu QEMU= (a version),'
	@echo 'make check-deb SUITE= (a release of Debian), and all that builds for a kernel'
	@echo 'or boots one KERNEL= ($(KERNELS)). See packaging/README.md for the packages.'

.PHONY: demo
demo: machine packages ## Migrate real guests with and without the filter
	lab/demo

.PHONY: check
check: machine packages ## Run all tests
	scripts/check

.PHONY: check-long
check-long: machine packages ## Run all of what make check does a part of; hours
	scripts/check --long

.PHONY: check-snapshot
check-snapshot: machine packages ## Test and compare snapshots by a VMM that knows no filter
	lab/tests/l0/snapshot_test
	lab/tests/l0/vsock_test
	WORKLOADS=$${WORKLOADS:-idle,freed,frag,churn} lab/snapshot

.PHONY: snapshot
snapshot: machine packages ## Compare sizes of snapshots with and without the filter
	lab/snapshot

# For "make compatibility": more logs.
LOGS ?=

.PHONY: compatibility
compatibility: ## Write what the last make check ran with, and LOGS=
	@mkdir -p out
	scripts/compatibility $(sort $(wildcard out/check/*.log)) $(LOGS) > out/compatibility.rst
	mv out/compatibility.rst Documentation/operator/compatibility.rst

.PHONY: check-libvirt
check-libvirt: machine packages ## Migrate with Debian's libvirt between two hosts
	lab/tests/l0/libvirt_test

.PHONY: check-arm64
check-arm64: machine packages ## Run all kernel tests on an emulated arm64 host; hours
	scripts/check arm64-all

.PHONY: check-model
check-model: packages ## Check the model of the protocol, exhaustively
	verification/check

.PHONY: check-litmus
check-litmus: packages ## Check memory order on the kernel's memory model
	verification/check-litmus

.PHONY: model-traces
model-traces: packages ## Write the document of what is lost without each rule
	mkdir -p out
	verification/check --traces > out/traces.rst
	mv out/traces.rst Documentation/assurance/traces.rst

.PHONY: fuzz-decoders
fuzz-decoders: packages ## Fuzz what decodes reports, in fprctl and in QEMU
	fuzz/decoder_test $$(scripts/build-fuzzers) $$(($(MINUTES) * 60))

.PHONY: check-kunit
check-kunit: machine packages ## Run KUnit and selftests under KASAN, with coverage
	lab/run --kernel kasan --append kunit.enable=1 --append kunit.autorun=1 --timeout 3600 -- \
		lab/tests/l1/kunit_test $$(scripts/build-modules kasan) $$(scripts/build-selftests) --all

# For "make stress" and "make check-kcsan"; SEED also for "make soak" and "make fuzz".
SECONDS ?= 600
SEED ?=

.PHONY: check-kcsan
check-kcsan: machine packages ## Hunt for data races with KCSAN
	lab/tests/l0/kcsan_test $(SECONDS) $(SEED)

.PHONY: bench
bench: machine packages ## Measure what the filter costs, in instructions
	lab/bench

.PHONY: stress
stress: machine packages ## Hunt for lost writes, with new random choices each time
	lab/run --timeout $$(($(SECONDS) + 300)) -- \
		$$(scripts/build-selftests)/fpr_stress -t $(SECONDS) $(if $(SEED),-s $(SEED))

# For "make soak", "make fuzz" and "make fuzz-decoders".
MINUTES ?= 10

.PHONY: soak
soak: machine packages ## Migrate back and forth with random features and failures
	lab/soak --large $(MINUTES) $(SEED)

# On the kernel with KASAN and lockdep, which scripts/build-debug-kernel builds.
.PHONY: fuzz
fuzz: machine packages ## Fuzz the filter's ioctls on a kernel that checks itself
	lab/run --kernel kasan --timeout $$(($(MINUTES) * 60 + 900)) -- $$(scripts/build-selftests)/fpr_fuzz \
		-t $$(($(MINUTES) * 60)) $(if $(SEED),-s $(SEED)) -j out/fuzz.json

.PHONY: check-faults
check-faults: machine packages ## Let each of the filter's calls fail wherever it can
	lab/run --kernel kasan -- lab/tests/l1/fault_test $$(scripts/build-selftests)

.PHONY: check-intel
check-intel: machine packages ## Test the filter on an Intel processor, in Bochs; long
	lab/tests/l0/intel_test $$(scripts/build-selftests) --all

.PHONY: shell
shell: machine packages ## Open a shell in the lab's host, with the filter
	lab/run --interactive

.PHONY: modules
modules: packages ## Build the KVM modules for the stock Debian kernel
	scripts/build-modules

.PHONY: qemu
qemu: packages ## Build QEMU with the filter
	scripts/build-qemu $(QEMU)

.PHONY: fprctl
fprctl: packages ## Build fprctl
	scripts/build-userspace

.PHONY: guest-module
guest-module: packages ## Build the guest's module; prints where
	scripts/build-guest-module

.PHONY: deb
deb: packages ## Build the Debian packages; prints where
	scripts/build-deb

# Choice of "make check-deb": a release of Debian, the machine's own unless named.
SUITE ?=

.PHONY: check-deb
check-deb: machine packages ## Install, use, upgrade and remove the Debian packages
	lab/tests/l0/deb_test $(SUITE)

.PHONY: series
series: ## Write the patch series for Linux and QEMU to out/series
	@for version in $(KERNELS); do \
		KVM_FPR_KERNEL=$$version scripts/make-series out/series/linux-$$version || [ $$? -eq 3 ] || exit; done
	@for version in $(QEMUS); do \
		scripts/make-qemu-series $$version out/series/qemu-$$version && \
		scripts/make-qemu-series $$version out/series/qemu-tcg-$$version qemu-tcg || exit; done

.PHONY: check-series
check-series: packages ## Build the series of Linux and of QEMU in steps; long
	@for version in $(KERNELS); do scripts/tests/linux_series_test $$version || [ $$? -eq 3 ] || exit; done
	@for version in $(QEMUS); do \
		scripts/tests/series_build_test $$version && \
		scripts/tests/series_build_test $$version qemu-tcg || exit; done

.PHONY: machine
machine: ## Say what this machine lacks for the lab
	@scripts/check-machine

.PHONY: packages
packages: ## Install the Debian packages that the rest needs
	@scripts/install-packages

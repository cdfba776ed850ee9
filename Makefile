# The two commands of the README. Everything else is meson's: `meson compile -C build`, `meson test -C build`.
BUILD ?= build

demo: build
	tools/demo $(BUILD)/src/nestvisor

check: build
	tools/check $(BUILD)

# Installs what is missing (tools/packages) and compiles.
build:
	@tools/setup
	@test -f $(BUILD)/build.ninja || meson setup $(BUILD) >$(BUILD).log 2>&1 || { cat $(BUILD).log; rm -rf $(BUILD); exit 1; }
	@ninja -C $(BUILD) --quiet

# Each fuzzer for 10 minutes, two at a time.
fuzz: build
	NESTVISOR_FUZZ_SECONDS=600 tools/fuzz $(BUILD)-fuzz

bench: build
	meson test -C $(BUILD) --benchmark --verbose

install: build
	meson install -C $(BUILD)

.PHONY: demo check build fuzz bench install

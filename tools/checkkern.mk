# checkkern.mk: builds and runs checkkern natively (vector and plain C bodies under ASan and UBSan), in Node
# and in Chromium. The Makefile includes it. It also works alone: make -f tools/checkkern.mk checkkern
# SPDX-License-Identifier: Apache-2.0
BUILD ?= build
CC_NATIVE ?= cc
ZIG ?= .toolchain/ziglang/zig
WASM_CPU_simd ?= generic+simd128+atomics+bulk_memory
WASM_CPU_relaxed ?= generic+simd128+relaxed_simd+atomics+bulk_memory

CHECKKERN_C := $(wildcard src/kernels/*.c src/quant/*.c) tools/checkkern.c tools/checkkern_rows.c tools/checkkern_matmul.c \
               tools/checkkern_attend.c tools/checkkern_recur.c tools/checkkern_bench.c
CHECKKERN_DEPS := $(wildcard src/kernels/*.h src/kernels/*.def src/quant/*.h src/quant/*.def src/base/*.h include/*.h) \
                  tools/checkkern.h tools/checkkern.mk
CHECKKERN_NATIVE := $(CHECKKERN_C) tools/checkkern_native.c
CHECKKERN_FLAGS := -std=c17 -Wall -Wextra -Wpedantic -Werror -ffp-contract=off -fno-math-errno -fno-strict-aliasing
CHECKKERN_SANITIZE ?= -fsanitize=address,undefined -fno-sanitize-recover=all
CHECKKERN_SSE := $(if $(filter x86_64 amd64,$(shell uname -m)),-msse4.1)

$(BUILD)/checkkern/native: $(CHECKKERN_NATIVE) $(CHECKKERN_DEPS)
	@mkdir -p $(@D)
	@$(CC_NATIVE) $(CHECKKERN_FLAGS) -g1 -O1 $(CHECKKERN_SSE) $(CHECKKERN_SANITIZE) $(CHECKKERN_NATIVE) -o $@
$(BUILD)/checkkern/plain: $(CHECKKERN_NATIVE) $(CHECKKERN_DEPS)
	@mkdir -p $(@D)
	@$(CC_NATIVE) $(CHECKKERN_FLAGS) -g1 -O1 -DCHORD_SIMD_PLAIN $(CHECKKERN_SANITIZE) $(CHECKKERN_NATIVE) -o $@
$(BUILD)/checkkern/bench: $(CHECKKERN_NATIVE) $(CHECKKERN_DEPS) | $(ZIG)
	@mkdir -p $(@D)
	@$(ZIG) cc -mcpu=baseline+sse4_1 $(CHECKKERN_FLAGS) -O3 $(CHECKKERN_NATIVE) -o $@

# $(1) module, $(2) its -mcpu, $(3) more flags
define CHECKKERN_WASM
$(BUILD)/checkkern/$(1)/%.o: %.c $(CHECKKERN_DEPS) | $(ZIG)
	@mkdir -p $$(@D)
	@$(ZIG) cc -c --target=wasm32-freestanding -mcpu=$(2) $(3) $(CHECKKERN_FLAGS) -ffreestanding -O3 $$< -o $$@
$(BUILD)/checkkern/$(1).wasm: $(CHECKKERN_C:%.c=$(BUILD)/checkkern/$(1)/%.o)
	@$(ZIG) wasm-ld --no-entry --export=checkkern_run --export=checkkern_arguments --allow-undefined \
	  -z stack-size=1048576 --strip-debug -o $$@ $$^
endef
$(eval $(call CHECKKERN_WASM,simd128,$(WASM_CPU_simd),))
$(eval $(call CHECKKERN_WASM,relaxed,$(WASM_CPU_relaxed),))
$(eval $(call CHECKKERN_WASM,relaxed-dot8,$(WASM_CPU_relaxed),-DCHORD_DOT_KIND=DOT8))
CHECKKERN_MODULES := $(BUILD)/checkkern/simd128.wasm $(BUILD)/checkkern/relaxed.wasm $(BUILD)/checkkern/relaxed-dot8.wasm

.PHONY: checkkern checkkern-native checkkern-node checkkern-chromium checkkern-bench
checkkern: checkkern-native checkkern-node checkkern-chromium
checkkern-native: $(BUILD)/checkkern/native $(BUILD)/checkkern/plain
	@$(BUILD)/checkkern/native
	@$(BUILD)/checkkern/plain
checkkern-node: $(CHECKKERN_MODULES)
	@node tools/checkkern.mjs --dir=$(BUILD)/checkkern
checkkern-chromium: $(CHECKKERN_MODULES)
	@node tools/checkkern.mjs --browser --dir=$(BUILD)/checkkern
checkkern-bench: $(BUILD)/checkkern/bench $(CHECKKERN_MODULES)
	@$(BUILD)/checkkern/bench --bench
	@node tools/checkkern.mjs --bench --dir=$(BUILD)/checkkern

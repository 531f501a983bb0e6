# checkkern.mk: builds and runs checkkern natively (vector and plain C bodies under ASan and UBSan), in Node and
# in Chromium. Included by the Makefile; or alone: make -f tools/checkkern.mk checkkern
# SPDX-License-Identifier: Apache-2.0
BUILD ?= build
CC_NATIVE ?= cc
ifeq ($(wildcard .toolchain/ziglang/zig),)
WASM_CC ?= clang-19 --target=wasm32-unknown-unknown -ffreestanding -nostdlib -msimd128 -matomics -mbulk-memory
WASM_RELAXED ?= -mrelaxed-simd
WASM_LD ?= wasm-ld-19
else
WASM_CC ?= .toolchain/ziglang/zig cc --target=wasm32-freestanding -mcpu=generic+simd128+atomics+bulk_memory
WASM_RELAXED ?= -Xclang -target-feature -Xclang +relaxed-simd
WASM_LD ?= .toolchain/ziglang/zig wasm-ld
endif

CHECKKERN_C := $(wildcard src/kernels/*.c src/quant/*.c) tools/checkkern.c tools/checkkern_rows.c tools/checkkern_matmul.c \
               tools/checkkern_attend.c tools/checkkern_bench.c
CHECKKERN_DEPS := $(CHECKKERN_C) $(wildcard src/kernels/*.h src/kernels/*.def src/quant/*.h src/quant/*.def src/base/*.h include/*.h) \
                  tools/checkkern.h tools/checkkern_native.c tools/checkkern.mk
CHECKKERN_FLAGS := -std=c17 -Wall -Wextra -Werror -ffp-contract=off -fno-math-errno
CHECKKERN_SANITIZE ?= -fsanitize=address,undefined -fno-sanitize-recover=all
CHECKKERN_SSE := $(if $(filter x86_64 i686,$(shell uname -m)),-msse4.1)

$(BUILD)/checkkern/native: $(CHECKKERN_DEPS)
	@mkdir -p $(@D)
	$(CC_NATIVE) $(CHECKKERN_FLAGS) -g1 -O1 $(CHECKKERN_SSE) $(CHECKKERN_SANITIZE) $(CHECKKERN_C) tools/checkkern_native.c -o $@
$(BUILD)/checkkern/plain: $(CHECKKERN_DEPS)
	@mkdir -p $(@D)
	$(CC_NATIVE) $(CHECKKERN_FLAGS) -g1 -O1 -DCHORD_SIMD_PLAIN $(CHECKKERN_SANITIZE) $(CHECKKERN_C) tools/checkkern_native.c -o $@
$(BUILD)/checkkern/bench: $(CHECKKERN_DEPS)
	@mkdir -p $(@D)
	$(CC_NATIVE) $(CHECKKERN_FLAGS) -O3 $(CHECKKERN_SSE) $(CHECKKERN_C) tools/checkkern_native.c -o $@

CHECKKERN_OBJECTS = $(addprefix $(BUILD)/checkkern/$(1)/,$(notdir $(CHECKKERN_C:.c=.o)))
define CHECKKERN_WASM
$(BUILD)/checkkern/$(1)/%.o: src/kernels/%.c $(CHECKKERN_DEPS)
	@mkdir -p $$(@D)
	$(WASM_CC) $(2) $(CHECKKERN_FLAGS) -O3 -c $$< -o $$@
$(BUILD)/checkkern/$(1)/%.o: src/quant/%.c $(CHECKKERN_DEPS)
	@mkdir -p $$(@D)
	$(WASM_CC) $(2) $(CHECKKERN_FLAGS) -O3 -c $$< -o $$@
$(BUILD)/checkkern/$(1)/%.o: tools/%.c $(CHECKKERN_DEPS)
	@mkdir -p $$(@D)
	$(WASM_CC) $(2) $(CHECKKERN_FLAGS) -O3 -c $$< -o $$@
$(BUILD)/checkkern-$(1).stamp: $(call CHECKKERN_OBJECTS,$(1))
	$(WASM_LD) --no-entry --export=checkkern_run --export=checkkern_arguments --allow-undefined -z stack-size=1048576 \
	  --strip-debug -o $(BUILD)/checkkern/checkkern-$(1).wasm $$^
	@touch $$@
endef
$(eval $(call CHECKKERN_WASM,simd128,))
$(eval $(call CHECKKERN_WASM,relaxed,$(WASM_RELAXED)))

.PHONY: checkkern checkkern-native checkkern-node checkkern-chromium checkkern-bench
checkkern: checkkern-native checkkern-node checkkern-chromium
checkkern-native: $(BUILD)/checkkern/native $(BUILD)/checkkern/plain
	$(BUILD)/checkkern/native
	$(BUILD)/checkkern/plain
checkkern-node: $(BUILD)/checkkern-simd128.stamp $(BUILD)/checkkern-relaxed.stamp
	node tools/checkkern.mjs --dir=$(BUILD)/checkkern
checkkern-chromium: $(BUILD)/checkkern-simd128.stamp $(BUILD)/checkkern-relaxed.stamp
	node tools/checkkern.mjs --browser --dir=$(BUILD)/checkkern
checkkern-bench: $(BUILD)/checkkern/bench $(BUILD)/checkkern-simd128.stamp $(BUILD)/checkkern-relaxed.stamp
	$(BUILD)/checkkern/bench --bench
	node tools/checkkern.mjs --bench --dir=$(BUILD)/checkkern

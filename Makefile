# SPDX-License-Identifier: Apache-2.0
# Every task of the project; `make help` lists them. Needs make, python3 with pip, Node >= 20.
# Sources are found by folder, so a new file needs no line here. build/ and dist/ hold everything that is built.
# node_modules/, .toolchain/ and models/ hold everything that is fetched.

.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
ZIG ?= .toolchain/ziglang/zig
CLANG_FORMAT ?= .toolchain/clang_format/data/bin/clang-format
MODEL := models/SmolLM2-135M-Instruct.Q4_1.gguf
MODELS := smollm2 gemma3-270m qwen2.5-coder-0.5b qwen2.5-coder-1.5b
FUZZ_SECONDS ?= 60
ISOLATED ?= 1

# zig's caches hold absolute paths and grow. They are in build/, so `rm -rf build` removes them.
export ZIG_LOCAL_CACHE_DIR := $(CURDIR)/build/zig-cache
export ZIG_GLOBAL_CACHE_DIR := $(CURDIR)/build/zig-cache

# ---- sources, by room ---------------------------------------------------------------------------------
# NEEDS_<room>: rooms that <room> may include (tools/check_rules.py checks this). The room's tests link the same rooms.

ROOMS := base format quant text program kernels model exec session template engine
NEEDS_base :=
NEEDS_format := base
NEEDS_quant := base
NEEDS_text := base
NEEDS_program := base
NEEDS_kernels := base quant
NEEDS_model := base format quant text program
NEEDS_exec := base quant kernels program
NEEDS_session := base text program
NEEDS_template := base
NEEDS_engine := $(filter-out engine,$(ROOMS))

room = $(wildcard src/$(1)/*.c)
CORE := $(foreach r,$(ROOMS),$(call room,$(r)))
HEADERS := $(wildcard include/*.h src/*/*.h src/*/*.def src/*/*/*.h)

# ---- compilers ----------------------------------------------------------------------------------------
# No fused a*b+c and no -march of the compiling machine: results must not depend on where the code was compiled.

STRICT := -std=c17 -Wall -Wextra -Wpedantic -Werror -ffp-contract=off -fno-math-errno -fno-strict-aliasing
FREE := $(STRICT) -ffreestanding -nostdlib
WASM_COMMON := $(FREE) -fno-stack-protector
# An address or a size that is cut to 32 bits would be right in small models.
WASM_WARN_64 := -Wshorten-64-to-32
WASM_FLAGS := --target=wasm32-freestanding $(WASM_COMMON)
# Code that runs once per model, or a few lines per step, is built for size: the first load is 4 kB gzipped smaller.
# Executor and session run a few lines per step: kernels and sampler take the time.
# The formats' decodes run one row per token. Built for size they are 1.4 kB smaller, and a row of 2048 columns takes
# up to 4 us more. act.c and x4.c are built for speed: built for size, x4.c is 1.3 kB smaller, but a load takes 400 ms
# instead of 320.
WASM_SMALL := src/base/% src/model/% src/format/% src/template/% src/engine/% src/host/% src/program/% src/exec/% src/session/caches.c \
  src/session/sequence.c src/session/pages.c src/session/save.c \
  src/text/special.c src/text/decode.c src/text/stream.c src/text/tokenizer.c \
  src/text/vocab.c src/text/pre.c src/text/unicode.c src/text/wordpiece.c src/text/fold.c src/text/sorted.c \
  src/text/unigram.c src/text/charsmap.c src/text/joints.c src/text/rwkv.c src/text/plamo2.c src/text/bpe.c src/text/spm.c src/session/sampler.c \
  $(filter-out src/quant/act.c src/quant/x4.c,$(wildcard src/quant/*.c))
# -Oz gives the same bytes as -Os here. The default threshold of -Os is 50, which adds 1.1 kB gzipped.
WASM_SIZE := -Os -mllvm -inline-threshold=-10
# What runs even less gains from fewer copies of code: 2.1 kB gzipped. The formats' decodes keep theirs, and so does
# the sampler: 66.4 instead of 68.2 tokens/s of Gemma 3 270M without them, 68.2 with -O3, too.
WASM_SMALLEST := -Xclang -Oz -mllvm -disable-lsr -mllvm -enable-pre=0 -mllvm -enable-load-pre=0
WASM_WARM := src/quant/% src/session/sampler.c
WASM_MODULES := $(patsubst %,build/wasm/%.wasm,wasm32-simd wasm32-relaxed wasm64-relaxed template)
WASM_CPU_simd := generic+simd128+atomics+bulk_memory
WASM_CPU_relaxed := generic+simd128+relaxed_simd+atomics+bulk_memory
# The module declares 4 GiB, with 64-bit addresses 16 GiB, the most that JavaScript engines grant; an imported Memory
# may have any smaller maximum. The stack comes first in
# memory: an overflow leaves the memory and traps instead of overwriting data. A helper has its own stack.
# --compress-relocations writes each address in the fewest bytes instead of five, which saves 0.7 kB gzipped.
# wasm-opt isn't used: it saves nothing since code is built as small as WASM_SMALLEST makes it (binaryen 132).
WASM_MEMORY_32 := --max-memory=4294967296
WASM_MEMORY_64 := -mwasm64 --max-memory=17179869184
WASM_LINK_COMMON := --no-entry --import-memory --shared-memory -z stack-size=65536 --stack-first \
  --export=__stack_pointer --export=__heap_base --gc-sections --compress-relocations
WASM_LINK := $(WASM_LINK_COMMON) $(WASM_MEMORY_32)

MACHINE := $(shell uname -m)
ISA_native128 := $(if $(filter x86_64 amd64,$(MACHINE)),-msse4.1)
ZIG_ISA_native128 := $(if $(filter x86_64 amd64,$(MACHINE)),-mcpu=baseline+sse4_1)
NATIVE_FLAGS := -mcpu=baseline -O2 $(STRICT) -D_POSIX_C_SOURCE=200809L

# ---- what users run -----------------------------------------------------------------------------------

.PHONY: help proof demo serve model models wasm native package package-files check test test-real test-all bench \
  fuzz format mutants size status abi toolchain clean setup-test FORCE

help: ## list the tasks
	@sed -n 's/^\([a-z%-]*\):.*## \(.*\)/  \1|\2/p' Makefile | awk -F'|' '{ printf "%-18s%s\n", $$1, $$2 }'
	@echo "  test-<room>       one room's tests: $(filter $(C_SUITES),$(ROOMS)), or a folder of tests/ (FILTER=word: some of its tests)"

demo: $(MODEL) dist/index.js ## fetch compiler and model, build, and let the model answer in the terminal
	@node $(NODE_FLAGS) examples/node/demo.mjs $(MODEL) "What is the capital of France?"

serve: dist/index.js ## serve the example pages (ISOLATED=0: without COOP/COEP headers)
	@ISOLATED=$(ISOLATED) node tools/serve.mjs

model: $(MODEL) ## fetch the default model
model-%: FORCE ## fetch one model, such as model-qwen2.5-coder-0.5b
	@$(PYTHON) tools/fetch.py model $*
models: ## fetch the other real models too (1.9 GB), which `make test-real` runs
	@$(PYTHON) tools/fetch.py model $(MODELS)
wasm: $(WASM_MODULES) ## compile the WebAssembly modules
native: build/native/libchord.a build/native/chord ## compile the native library and command line
package-files: dist/index.js ## build the package's files in dist/ (WEBGPU=0: without the WebGPU backend)
package: dist/index.js ## build the npm package into build/package/
	@mkdir -p build/package && npm pack --silent --pack-destination build/package

# ---- fetched ------------------------------------------------------------------------------------------

# ZIG=/path/to/zig and CLANG_FORMAT=/path/to/clang-format replace the fetched programs.
.toolchain/ziglang/zig: tools/fetch.py
	@$(PYTHON) tools/fetch.py toolchain && touch -c $@
.toolchain/clang_format/data/bin/clang-format: tools/fetch.py
	@$(PYTHON) tools/fetch.py clang-format && touch -c $@
toolchain: $(ZIG)

$(MODEL): tools/fetch.py
	@$(PYTHON) tools/fetch.py model && touch -c $@

node_modules/.stamp: package.json package-lock.json
	@echo "installing npm packages" >&2
	@npm ci --ignore-scripts --no-audit --no-fund --silent
	@touch $@

# ---- wasm ---------------------------------------------------------------------------------------------

WASM_SOURCES := $(CORE) src/host/wasm/exports.c src/host/wasm/host.c

# $(1): the address width, $(2): the isa, $(3): the folder of the objects.
define WASM_VARIANT
build/wasm/$(3)/%.o: %.c Makefile | $(ZIG)
	@mkdir -p $$(@D)
	@$(ZIG) cc -c --target=wasm$(1)-freestanding $(WASM_COMMON) $(WASM_WARN_$(1)) $$(if $$(filter $(WASM_SMALL),$$<),$(WASM_SIZE)$$(if $$(filter $(WASM_WARM),$$<),, $(WASM_SMALLEST)),-O3) -mcpu=$(WASM_CPU_$(2)) -DCHORD_NO_SCALAR -MMD -MP $$< -o $$@
build/wasm/wasm$(1)-$(2).wasm: $(WASM_SOURCES:%.c=build/wasm/$(3)/%.o)
	@$(ZIG) wasm-ld $(WASM_LINK_COMMON) $(WASM_MEMORY_$(1)) --strip-all --Map=build/wasm/$(3)/map $$^ -o $$@.tmp && mv $$@.tmp $$@
	@echo "$$@: $$$$(wc -c < $$@) bytes"
endef
$(foreach v,simd relaxed,$(eval $(call WASM_VARIANT,32,$(v),$(v))))
$(eval $(call WASM_VARIANT,64,relaxed,relaxed64))

# The template engine is a module of its own, with a memory of its own: it has no vectors and no threads, and runs in
# every JavaScript engine. Whoever never chats doesn't load it.
TEMPLATE_SOURCES := $(call room,base) $(call room,template) src/host/wasm/template.c
TEMPLATE_LINK := --no-entry -z stack-size=65536 --stack-first --export=__heap_base --gc-sections --compress-relocations
build/wasm/template/%.o: %.c Makefile | $(ZIG)
	@mkdir -p $(@D)
	@$(ZIG) cc -c $(WASM_FLAGS) -Os -mllvm -inline-threshold=-10 $(WASM_SMALLEST) -mcpu=generic -MMD -MP $< -o $@
build/wasm/template.wasm: $(TEMPLATE_SOURCES:%.c=build/wasm/template/%.o)
	@$(ZIG) wasm-ld $(TEMPLATE_LINK) --strip-all --Map=build/wasm/template/map $^ -o $@.tmp && mv $@.tmp $@
	@echo "$@: $$(wc -c < $@) bytes"

# What a page loads is a small module that holds the real one, compressed (src/host/wasm/unpack.c).
# Its stack is as large as two of the real one, which take its place. A file's size is known only when it is there.
PACKED_MODULES := $(WASM_MODULES:build/wasm/%=build/wasm/packed/%)
build/wasm/packed/%.wasm: build/wasm/%.wasm src/host/wasm/unpack.c tools/pack.py Makefile | $(ZIG)
	@mkdir -p $(@D)
	@KNOWN=$$($(PYTHON) tools/pack.py $< $(@:.wasm=.lzma)) && \
	  $(ZIG) cc -c $(filter-out -std=%,$(WASM_FLAGS)) -std=c23 $(WASM_SIZE) $(WASM_SMALLEST) -mcpu=generic \
	  $$KNOWN '-DPACKED="$*.lzma"' --embed-dir=$(@D) src/host/wasm/unpack.c -o $(@:.wasm=.o)
	@$(ZIG) wasm-ld --no-entry -z stack-size=$$(($$(wc -c <$<) / 32768 * 65536 + 131072)) --stack-first --gc-sections \
	  --compress-relocations --strip-all $(@:.wasm=.o) -o $@.tmp && mv $@.tmp $@

# ---- native -------------------------------------------------------------------------------------------

NATIVE_OBJECTS := $(patsubst %.c,build/native/%.o,$(CORE) $(wildcard src/host/native/*.c))
CLI_OBJECTS := $(patsubst %.c,build/native/%.o,$(wildcard src/cli/*.c))

build/native/%.o: %.c Makefile | $(ZIG)
	@mkdir -p $(@D)
	@$(ZIG) cc -c $(NATIVE_FLAGS) $(if $(findstring isa_native128,$<),$(ZIG_ISA_native128)) -MMD -MP $< -o $@
build/native/libchord.a: $(NATIVE_OBJECTS)
	@rm -f $@ && $(ZIG) ar rcs $@ $^
build/native/chord: $(CLI_OBJECTS) build/native/libchord.a
	@$(ZIG) cc -mcpu=baseline $^ -lm -lpthread -o $@

build/native/generate: examples/c/generate.c include/chord.h build/native/libchord.a
	@$(ZIG) cc $(NATIVE_FLAGS) -Iinclude $< build/native/libchord.a -lm -lpthread -o $@

# ---- package ------------------------------------------------------------------------------------------

TS := $(shell find ts -name '*.ts' -o -name '*.wgsl' 2>/dev/null)
# WEBGPU=0 leaves the WebGPU backend out.
WEBGPU ?= 1
dist/index.js: $(TS) $(PACKED_MODULES) tools/build.mjs tools/wgsl.mjs tools/types.mjs tsconfig.json \
  node_modules/.stamp $(if $(filter-out $(WEBGPU),$(shell cat build/webgpu-flag 2>/dev/null || echo 1)),FORCE)
	@WEBGPU=$(WEBGPU) node tools/build.mjs

abi: build/gen_abi ## generate ts/abi/abi.gen.ts from the C headers, the report of the package's API, and docs/API.md
	@build/gen_abi > ts/abi/abi.gen.ts.tmp && mv ts/abi/abi.gen.ts.tmp ts/abi/abi.gen.ts
	@node node_modules/typescript/bin/tsc -p . --outDir build/types && node tools/types.mjs build/index.d.ts --report
build/gen_abi: tools/gen_abi.c $(HEADERS) | $(ZIG)
	@mkdir -p build
	@$(ZIG) cc -mcpu=baseline $(STRICT) $< -o $@

# ---- tests --------------------------------------------------------------------------------------------
# A folder of tests/ is a suite: its *_test.c become one sanitized binary, its *.test.mjs run under node:test.
# A C test is linked with its room, the rooms that its room may include, and the rooms of TEST_NEEDS_<folder>.

TEST_NEEDS_session := host/native
TEST_NEEDS_template := host/native
TEST_NEEDS_model := template host/native
TEST_NEEDS_exec := format text model host/native
TEST_NEEDS_engine := host/native
TEST_WITH_engine := $(filter-out %_wasm.c,$(wildcard tests/reference/*.c)) $(wildcard tests/engine/synthetic*.c)

# What tests/stacks runs: bundlers, runtimes and frameworks, at the versions of the lock files.
STACKS := $(patsubst tests/stacks/%/package-lock.json,build/stacks/%/.stamp,$(wildcard tests/stacks/*/package-lock.json))
build/stacks/%/.stamp: tests/stacks/%/package.json tests/stacks/%/package-lock.json
	@echo "installing the tools of tests/stacks/$*" >&2
	@rm -rf $(@D) && mkdir -p $(@D) && cp $^ $(@D)
	@cd $(@D) && npm ci --ignore-scripts --no-audit --no-fund --silent
	@touch $@

C_SUITES := $(sort $(foreach f,$(wildcard tests/*/*_test.c),$(notdir $(patsubst %/,%,$(dir $(f))))))
JS_SUITES := $(sort $(foreach f,$(wildcard tests/*/*.test.mjs),$(notdir $(patsubst %/,%,$(dir $(f))))))
FUZZERS := $(patsubst tests/fuzz/%_fuzz.c,%,$(wildcard tests/fuzz/*_fuzz.c))
JS_FUZZERS := $(patsubst tests/fuzz/%_fuzz.mjs,%,$(wildcard tests/fuzz/*_fuzz.mjs))

# Tests are linked from the objects in build/asan and build/tsan. Objects in build/fuzz also have libFuzzer's counters.
SANITIZED := -O2 -g1 -fno-omit-frame-pointer -fno-sanitize-recover=all -std=c17 -D_POSIX_C_SOURCE=200809L -Wall -Wextra \
  $(if $(CI),-Werror) -ffp-contract=off -fno-math-errno -fno-strict-aliasing
SANITIZE_asan := -fsanitize=address,undefined,float-cast-overflow
SANITIZE_tsan := -fsanitize=thread
SANITIZE_fuzz := $(SANITIZE_asan) -fsanitize=fuzzer-no-link
# For the kernels only: with this sanitizer clang 14 takes a minute to compile them. build/asan has the kernels with
# the sanitizer.
SANITIZE_LESS_fuzz := -fno-sanitize=undefined
# No leak check: the core never allocates, and LeakSanitizer needs ptrace, which containers refuse.
export ASAN_OPTIONS := detect_leaks=0
export UBSAN_OPTIONS := print_stacktrace=1

# Archives, later rooms first. A test links only what it uses: a room that doesn't compile breaks its own tests only.
# host/native is listed twice: its loader uses the engine, and exec uses its waits.
LINK_ORDER := host/native engine template session exec model kernels program text quant format base host/native
define ROOM_ARCHIVE
build/$(1)/$(2).a: $(patsubst %.c,build/$(1)/%.o,$(call room,$(2)))
	@mkdir -p $$(@D) && rm -f $$@ && ar rcs $$@ $$^
endef
define SANITIZER
build/$(1)/%.o: %.c Makefile
	@mkdir -p $$(@D)
	@tools/sancc $(1) $(SANITIZED) $(SANITIZE_$(1)) $$(if $$(findstring isa_native128,$$<),$(ISA_native128) $(SANITIZE_LESS_$(1))) -MMD -MP -c $$< -o $$@
endef
$(foreach m,asan tsan fuzz,$(eval $(call SANITIZER,$(m)))$(foreach r,$(sort $(LINK_ORDER)),$(eval $(call ROOM_ARCHIVE,$(m),$(r)))))
archives = $(foreach r,$(LINK_ORDER),$(if $(and $(filter $(r),$(2)),$(call room,$(r))),build/$(1)/$(r).a))

test_parts = $(patsubst %.c,build/$(1)/%.o,$(wildcard tests/$(2)/*_test.c) $(TEST_WITH_$(2)) tests/harness/test_main.c) \
  $(call archives,$(1),$(2) $(if $(filter $(2),$(ROOMS)),$(NEEDS_$(2)),$(ROOMS) host/native) $(TEST_NEEDS_$(2)))
define C_TEST
build/test/$(1): $(call test_parts,asan,$(1))
	@mkdir -p $$(@D)
	@tools/sancc asan $(SANITIZE_asan) $$^ $$(filter %/native.a,$$^) -lm -lpthread -o $$@
build/test/tsan-$(1): $(call test_parts,tsan,$(1))
	@mkdir -p $$(@D)
	@tools/sancc tsan $(SANITIZE_tsan) $$^ $$(filter %/native.a,$$^) -lm -lpthread -o $$@
endef
$(foreach s,$(C_SUITES),$(eval $(call C_TEST,$(s))))

build/asan/chord: $(patsubst %.c,build/asan/%.o,$(wildcard src/cli/*.c)) $(call archives,asan,$(ROOMS) host/native)
	@tools/sancc asan $(SANITIZE_asan) $^ build/asan/host/native.a -lm -lpthread -o $@

define FUZZER
build/fuzz/$(1): build/fuzz/tests/fuzz/$(1)_fuzz.o $(call archives,fuzz,$(or $(FUZZ_NEEDS_$(1)),$(ROOMS)))
	@tools/sancc fuzz -fsanitize=fuzzer,address,undefined $$+ -lm -lpthread -o $$@
endef
FUZZ_NEEDS_gguf := format base
FUZZ_NEEDS_tokenizer := text base
FUZZ_NEEDS_template := template base host/native
FUZZ_NEEDS_engine := $(ROOMS) host/native
FUZZ_NEEDS_session := $(ROOMS) host/native
$(foreach f,$(FUZZERS),$(eval $(call FUZZER,$(f))))

# The float64 interpreter as an executor: the core's module with tests/reference/interpreter_wasm.c.
INTERPRETER := $(patsubst %.c,build/test/wasm/%.o,tests/reference/interpreter.c tests/reference/interpreter_wasm.c)
build/test/wasm/%.o: %.c Makefile | $(ZIG)
	@mkdir -p $(@D)
	@$(ZIG) cc -c $(WASM_FLAGS) -O2 -mcpu=$(WASM_CPU_simd) -MMD -MP $< -o $@
build/test/interpreter.wasm: $(WASM_SOURCES:%.c=build/wasm/simd/%.o) $(INTERPRETER)
	@$(ZIG) wasm-ld $(WASM_LINK) --strip-all $^ -o $@.tmp && mv $@.tmp $@

# The CPU's sampler alone: what the GPU's draws are compared with.
build/test/sampler.wasm: $(patsubst %.c,build/wasm/simd/%.o,$(filter-out %/exports.c,$(WASM_SOURCES))) build/test/wasm/tests/webgpu/sampler_wasm.o
	@$(ZIG) wasm-ld $(WASM_LINK) --strip-all $^ -o $@.tmp && mv $@.tmp $@

.SECONDARY:
suite-c-%: FORCE
	@if tools/sancc asan >/dev/null; then $(MAKE) -s build/test/$* && build/test/$* $(FILTER); \
	elif [ "$(CI)" = true ]; then exit 1; else echo "SKIP tests/$*: no sanitizing compiler"; echo "0 passed, 0 failed, 1 skipped"; fi
# ThreadSanitizer runs over the code that threads share: the pool alone, and steps of two and three threads.
suite-tsan: FORCE
	@if tools/sancc tsan >/dev/null; then $(MAKE) -s build/test/tsan-exec build/test/tsan-engine && build/test/tsan-exec && build/test/tsan-engine thread; \
	else echo "SKIP tsan: ThreadSanitizer doesn't run here"; echo "0 passed, 0 failed, 1 skipped"; fi
suite-js-%: dist/index.js FORCE
	@test -n "$(wildcard tests/$*/$(FILTER)*test.mjs)" || { echo "no tests/$*/$(FILTER)*test.mjs" >&2; exit 1; }
	@rm -rf build/test/cache-$* && WASM_CHORD_CACHE=$(CURDIR)/build/test/cache-$* \
	  node $(NODE_FLAGS) --test --test-timeout=$(or $(TEST_MS),300000) --test-reporter=./tools/reporter.mjs $(wildcard tests/$*/$(FILTER)*test.mjs)
suite-js-cli: native build/native/generate
# A file of these suites is a browser with all its tests, or two.
suite-js-engines suite-js-webgpu suite-js-families: TEST_MS := 800000
suite-js-stacks: $(STACKS)
# Node 24 is among the tools of the stacks: it has Memory64.
suite-js-recipes suite-js-ts suite-js-large: build/stacks/tools/.stamp
suite-js-reference suite-js-ts suite-js-e2e: build/test/interpreter.wasm
suite-js-webgpu: build/test/sampler.wasm
suite-js-executor: build/dist-interpreter/index.js
build/dist-interpreter/index.js: dist/index.js build/test/interpreter.wasm tests/executor/interpreter.ts
	@node tools/build.mjs --interpreter
suite-fuzz: dist/index.js FORCE
	@$(PYTHON) tools/fuzz.py --seconds $(FUZZ_SECONDS) $(FUZZERS) $(JS_FUZZERS)

check-rules: FORCE
	@$(PYTHON) tools/check_rules.py --self-test && $(PYTHON) tools/check_rules.py
check-wasm: wasm FORCE
# Prettier reads .prettierrc.json and .prettierignore, clang-format .clang-format and .clang-format-ignore.
FORMAT_C = $(shell find include src examples tests tools -name '*.[ch]')
FORMAT_JS = 'ts/**/*.ts' '{bench,examples,tests,tools}/**/*.{mjs,js}'
PRETTIER := node node_modules/prettier/bin/prettier.cjs --log-level warn
format: $(CLANG_FORMAT) node_modules/.stamp ## lay out C by clang-format and TypeScript by prettier
	@$(CLANG_FORMAT) -i $(FORMAT_C)
	@$(PRETTIER) --write $(FORMAT_JS)
check-format: $(CLANG_FORMAT) node_modules/.stamp FORCE
	@$(CLANG_FORMAT) --dry-run -Werror $(FORMAT_C)
	@$(PRETTIER) --check $(FORMAT_JS)
check-mutants: FORCE
	@$(PYTHON) tools/mutants.py --texts
check-abi: build/gen_abi FORCE
	@build/gen_abi | cmp - ts/abi/abi.gen.ts || { echo "ts/abi/abi.gen.ts is stale: make abi" >&2; exit 1; }
check-types: node_modules/.stamp FORCE
	@node node_modules/typescript/bin/tsc -p . --outDir build/types && node tools/types.mjs build/index.d.ts --check
check-package: dist/index.js FORCE
	@node_modules/.bin/publint --strict >build/publint.log 2>&1 || { cat build/publint.log >&2; exit 1; }
# Only "." has a file for require(). npm packs once for both runs.
	@rm -rf build/attw && mkdir -p build/attw && npm pack --ignore-scripts --silent --pack-destination build/attw >/dev/null
	@for e in "--profile node16 --entrypoints ." "--profile esm-only --exclude-entrypoints ."; do \
	  node_modules/.bin/attw build/attw/*.tgz $$e >build/attw.log 2>&1 || { cat build/attw.log >&2; exit 1; }; done
check-size: dist/index.js FORCE
	@$(PYTHON) tools/size.py
# Builds the modules again in another folder with a cold cache. The bytes must be equal: no path, time or order is in
# them.
check-reproducible: wasm FORCE
	@$(PYTHON) tools/check_reproducible.py

# A recipe that uses run_suites starts with +. Without the + a parallel make keeps its jobserver from the $(MAKE) here,
# which it doesn't see.
run_suites = $(PYTHON) tools/run_tests.py $(foreach c,$(1),"$(c):=$(MAKE) -s check-$(c)") \
  $(foreach s,$(2),"c/$(s)=$(MAKE) -s suite-c-$(s)") $(foreach s,$(3),"js/$(s)=$(MAKE) -s suite-js-$(s)") \
  $(foreach k,$(4),"kernels/$(k)=$(MAKE) -s checkkern-$(k)") $(if $(5),"tsan=$(MAKE) -s suite-tsan" "fuzz=$(MAKE) -s suite-fuzz")

CHECKS := wasm rules abi types mutants format
QUICK := base format quant text program kernels model session template
REAL := real
BIG := real large

check: ## everyday check, under a minute: rules, generated files, types, tests of the small rooms
	@-$(MAKE) -s -k -j2 wasm $(patsubst %,build/test/%,$(filter $(QUICK),$(C_SUITES))) >/dev/null 2>&1
	+@$(call run_suites,$(CHECKS),$(filter $(QUICK),$(C_SUITES)))
# Half of the time of `make fuzz`: the suites take some 20 minutes together.
test test-all: export FUZZ_SECONDS := 30
test: setup-test $(MODEL) ## all tests except the big models; the last line sums up all suites
	@-$(MAKE) -s -k -j2 dist/index.js native $(C_SUITES:%=build/test/%) build/test/tsan-exec build/test/tsan-engine \
	  $(FUZZERS:%=build/fuzz/%) build/checkkern/native build/checkkern/plain >/dev/null 2>&1
	+@$(call run_suites,$(CHECKS) package size reproducible,$(C_SUITES),$(filter-out $(BIG),$(JS_SUITES)),native node chromium,fuzz)
test-real: $(MODEL) ## tests with big real models (tests/real)
	+@$(call run_suites,,,$(REAL))
# Random weights in real shapes, made here: 9.6 GB of disk, ten minutes on two cores. REFERENCE is a python with what
# tools/make_large_answers.py needs.
LARGE ?= llama-2-7b.Q4_K_M llama-2-7b.Q6_K
REFERENCE ?= $(PYTHON)
.PRECIOUS: models/large/%.gguf
models/large/%.gguf: | tools/make_large.py
	@$(REFERENCE) tools/make_large.py $*
models/large/%.json: models/large/%.gguf
	@$(REFERENCE) tools/make_large_answers.py $<
test-large: $(LARGE:%=models/large/%.json) ## models of 7 billion random weights, beside llama.cpp (LARGE="NAMES")
	@$(MAKE) -s suite-js-large TEST_MS=3600000
# What a test passed, it left in build/proof (tests/reference/proof.mjs).
proof: dist/index.js FORCE ## write docs/PROOF.md: what the tests compared with llama.cpp, and how near it came
	@rm -rf build/proof && mkdir -p build/proof
	@for suite in families: ts:fixtures webgpu:executor; do PROOF=$(CURDIR)/build/proof \
	  $(MAKE) -s suite-js-$${suite%:*} FILTER=$${suite#*:} || exit 1; done
	@PROOF=$(CURDIR)/build/proof $(MAKE) -s suite-c-model FILTER=tokeniz
	@node tools/proof.mjs build/proof
test-all: test test-real ## test and test-real
test-%: FORCE
	@test -n "$(filter $*,$(C_SUITES) $(JS_SUITES))" || { echo "make test-$*: tests/$* has no tests" >&2; exit 1; }
	+@$(call run_suites,,$(filter $*,$(C_SUITES)),$(filter $*,$(JS_SUITES)))

setup-test: node_modules/.stamp
	@tools/setup_test.sh

status: ## write README's status table from the results of the last test run
	@node tools/status.mjs
engines: ## write the table of docs/ENGINES.md from the results of the last `make test-engines`
	@node tools/engines.mjs
fuzz: ## fuzz every parser, the worker's protocol and the API for FUZZ_SECONDS each (default 60)
	@$(MAKE) -s suite-fuzz
mutants: $(MODEL) ## break listed places one at a time and show which test catches each
	@$(PYTHON) tools/mutants.py
size: dist/index.js ## bytes of the modules, of the first load, and of each room
	@$(PYTHON) tools/size.py

checkkern: checkkern-webgpu ## check every kernel against its specification; WGSL in Node, Chromium, Firefox
checkkern-webgpu: build/test/sampler.wasm node_modules/.stamp FORCE
	@node tools/checkkern-webgpu.mjs
checkkern-bench: ## time every kernel natively and in Node
CC_NATIVE := tools/sancc asan
include tools/checkkern.mk

bench: dist/index.js ## benchmark beside wllama and native llama.cpp (ARGS="--help")
	@node $(NODE_FLAGS) bench/run.mjs $(ARGS)

-include $(shell find build/asan build/tsan build/fuzz build/wasm build/native build/test/wasm -name '*.d' 2>/dev/null)

clean: ## remove what was built (not what was fetched)
	rm -rf build dist

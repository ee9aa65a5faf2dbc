# Every command here sets up what it needs: Python 3.10 or newer and a C++17 compiler are enough.
# Another interpreter: make PYTHON=python3.12 build. No compiler: make BIDFCL_REQUIRE_NATIVE=0 build.

PYTHON    ?= python3
DEMO_ARGS ?=
EXPERIMENTS_ARGS ?=
TEST_ARGS ?=
FUZZ_SECONDS ?= 600
HASHES ?=
NIGHTLY_SEED ?= $(shell date +%s)
# What cuda-compile is about; all there are without it.
CUDA_ARCHES ?=

# The CUDA sources as C++ (tests/emulated) have all they need on Linux: not to be built there is a fault.
EMULATED := BIDFCL_TEST_EMULATED=$(if $(filter Linux,$(shell uname)),required,1)

comma := ,
VENV  := .venv
BIN   := $(VENV)/bin
PIP   := $(BIN)/python -m pip
STAMP := $(VENV)/.installed

NATIVE := CMakeLists.txt $(shell find csrc -name '*.cpp' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh')

# A C++ error must stop a developer; a user's `pip install .` goes on without the extension module instead.
export BIDFCL_REQUIRE_NATIVE ?= 1
# The module for GPUs: nobody needs it here but for gpu-test and gpu-bench. `make BIDFCL_CUDA=1 build` builds it.
export BIDFCL_CUDA ?= 0
# Two names for one thing: before pip 26.2 the first also covers builds, from 25.3 on the second does.
export PIP_CONSTRAINT       := $(CURDIR)/constraints.txt
export PIP_BUILD_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo experiments test test-spark test-frameworks build check format sanitize sanitize-address sanitize-thread \
    sanitize-emulated fuzz nightly kills endurance dist docs lock audit bench cuda-compile gpu-build gpu-test gpu-bench clean

help:  ## list these commands
	@awk -F ':.*##' '/^[a-z-]+:.*##/ { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build  ## the main job end to end; the report is written to demo/
	$(BIN)/bidfcl demo $(DEMO_ARGS)

experiments: build  ## every method on simulated worlds and real trials, an hour and a half on two free cores; goes on where it was stopped
	$(BIN)/bidfcl evaluate --output experiments $(EXPERIMENTS_ARGS)

test: build  ## all tests, two files at a time (a plain `pytest` runs them one by one)
	$(EMULATED) $(BIN)/python -m pytest -n 2 --dist loadfile --durations 12 -m "not spark" $(TEST_ARGS)

test-spark: build  ## the tests that need a Spark cluster, on one of two executors; needs Java 17
	$(PIP) install --quiet 'pyspark[sql]'
	$(BIN)/python -m pytest -m spark tests/scale

build: $(STAMP)  ## .venv with the package (editable), all its extras and the tools; again when the C++ changes

check: build  ## lint, formatting, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	find csrc tests -name '*.cpp' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh' | xargs $(BIN)/clang-format --dry-run -Werror

format: build  ## rewrite the sources as `check` wants them
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	find csrc tests -name '*.cpp' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh' | xargs $(BIN)/clang-format -i

sanitize: sanitize-address sanitize-thread sanitize-emulated  ## the tests of the C++ again, under GCC's sanitizers of addresses, undefined behaviour and threads

# $(call sanitized,SANITIZERS,LIBRARIES,TESTS): a build of its own, with the sanitizers' libraries loaded first. The thread
# sanitizer needs an address layout that newer kernels no longer give by chance, hence setarch. Compiling is most of it, hence
# -O1; threads meet in none of the row loops, so that one instruction set is enough for theirs.
SANITIZED := -DCMAKE_BUILD_TYPE=Sanitized -DCMAKE_CXX_FLAGS_SANITIZED=\"-O1 -g1\"
define sanitized
	CMAKE_ARGS="-DBIDFCL_SANITIZE=$(1) $(SANITIZED)" $(PIP) install --quiet \
	    --no-deps --no-build-isolation --upgrade --target build/sanitized-$(firstword $(2)) .
	ASAN_OPTIONS=detect_leaks=0 TSAN_OPTIONS=die_after_fork=0:ignore_noninstrumented_modules=1 \
	    LD_PRELOAD='$(foreach lib,$(2),$(shell $(CXX) -print-file-name=lib$(lib).so))' \
	    PYTHONPATH=$(CURDIR)/build/sanitized-$(firstword $(2)) setarch -R $(BIN)/pytest -s $(3) --only-backend cpp
endef

sanitize-address: build  ## … of addresses and undefined behaviour alone
	$(call sanitized,address$(comma)undefined,asan ubsan,tests/contract tests/linalg tests/property tests/fuzz \
	    tests/bilevel/test_fused.py tests/reliability/test_lifetimes.py tests/reliability/test_arithmetic.py)

sanitize-thread: build  ## … of threads alone
	$(call sanitized,thread -DBIDFCL_GENERIC=ON,tsan,tests/contract tests/linalg tests/reliability/test_lifetimes.py)

# Clang's own sanitizers and coverage, inside Atheris: its library is loaded first.
fuzz: build  ## random bytes at the Python edge and at files, under sanitizers: FUZZ_SECONDS for each of three harnesses
	$(PIP) install --quiet atheris
	CXX=clang++ CMAKE_ARGS="-DBIDFCL_SANITIZE=address,undefined,fuzzer-no-link -DBIDFCL_GENERIC=ON $(SANITIZED)" $(PIP) install \
	    --quiet --no-deps --no-build-isolation --upgrade --target build/sanitized-fuzz .
	set -e; for harness in edge files models; do mkdir -p build/fuzz/$$harness; \
	    ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 PYTHONPATH=$(CURDIR)/build/sanitized-fuzz \
	    LD_PRELOAD=$$($(BIN)/python -c 'import atheris; print(atheris.path())')/asan_with_fuzzer.so \
	    $(BIN)/python tests/fuzz/run.py $$harness build/fuzz/$$harness tests/fuzz/corpus/$$harness \
	    -max_total_time=$(FUZZ_SECONDS) -max_len=1000 -timeout=60 -rss_limit_mb=4096; done

nightly: build  ## a million random instances: backends, threads, shards, exact optima and HiGHS against each other
	$(BIN)/python tests/reliability/differential.py 1000000 $(NIGHTLY_SEED)

kills: build  ## two hundred kills at random moments of allocate, train, evaluate and report
	$(BIN)/python tests/reliability/kills.py 200

endurance: build  ## 10⁵ solves, 10⁴ training steps, a soak of Allocator: memory, open files, latencies
	$(BIN)/python tests/reliability/endurance.py solves 100000
	$(BIN)/python tests/reliability/endurance.py training 10000
	$(BIN)/python tests/reliability/endurance.py soak 1600000

# The CUDA sources as C++: what a body reads or writes outside its row or its tile.
sanitize-emulated: build  ## … the CUDA sources as C++, of addresses and undefined behaviour
	BIDFCL_EMULATED_SANITIZE=address,undefined ASAN_OPTIONS=detect_leaks=0 setarch -R env \
	    LD_PRELOAD='$(foreach lib,asan ubsan,$(shell $(CXX) -print-file-name=lib$(lib).so))' \
	    $(BIN)/pytest -s -q tests/gpu tests/contract/test_bits.py tests/contract/test_losses.py -k cuda_emulated

test-frameworks:  ## the adapters with packages that cannot be installed beside the rest, each in an environment of its own
	$(PYTHON) -m venv build/causalml
	PIP_CONSTRAINT= build/causalml/bin/python -m pip install --quiet -r tests/frameworks/causalml.txt
	BIDFCL_PURE=1 build/causalml/bin/python -m pip install --quiet --no-deps .
	build/causalml/bin/python -m pytest -q --noconftest --import-mode=importlib tests/frameworks/test_causalml.py

dist: build  ## source distribution and wheels into dist/, audited, each tested in an empty environment without torch
	$(BIN)/python tools/dist.py

docs: build  ## the site, into build/docs; warnings are errors
	$(BIN)/python -m sphinx -q -W --keep-going -j auto -b html docs build/docs

lock: build  ## requirements.lock: the hashes of all that `make build HASHES=1` installs, for the pins of constraints.txt
	$(PIP) install --quiet uv
	$(BIN)/python tools/lock.py

audit: build  ## known faults of the locked packages, where the index tells them
	$(PIP) install --quiet pip-audit
	$(BIN)/pip-audit --disable-pip --require-hashes --requirement requirements.lock

bench: build  ## check the answers, then time them
	$(BIN)/python bench/run.py
	$(BIN)/python bench/losses.py
	$(BIN)/python bench/curvature.py

cuda-compile: build  ## the CUDA sources for every architecture, no GPU needed: warnings, registers, spills
	$(BIN)/python bench/ptxas.py $(if $(CUDA_ARCHES),--architectures $(CUDA_ARCHES))

# On a machine with a GPU: GPU_PYTHON is one that has a torch for CUDA, and CuPy.
GPU_PYTHON ?= $(PYTHON)
gpu-build:
	BIDFCL_CUDA=1 BIDFCL_CUDA_ARCHITECTURES=native $(GPU_PYTHON) -m pip install --quiet --editable . \
	    pytest pytest-xdist hypothesis highspy scipy pybind11 cmake ninja nvidia-cuda-cccl

gpu-test: gpu-build  ## on a GPU: the contract, parity with the CPU, streams, memory checks (under ten minutes)
	$(GPU_PYTHON) bench/gpu_test.py

gpu-bench: gpu-build  ## on a GPU: every kernel against the memory's speed, solves, peers (under ten minutes)
	$(GPU_PYTHON) bench/gpu.py

clean:  ## remove all that was built, but for the packages in .venv
	rm -rf build dist demo experiments *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	rm -f bidfcl_fast/_C.*.so bidfcl_fast/_C_cuda.*.so bidfcl_fast/_build_info.json $(STAMP)
	find bidfcl_fast tests bench -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# Without build isolation, so that CMake finds its last build again and compiles only what changed.
# curvlinops comes without BackPACK, which would bring torchvision for a part of it that is not used here.
# HASHES=1: nothing that requirements.lock does not know by its hash.
$(STAMP): pyproject.toml setup.py constraints.txt $(NATIVE) | $(BIN)/python
	$(if $(HASHES),$(PIP) install --quiet --no-deps --require-hashes --requirement requirements.lock)
	$(PIP) install --quiet setuptools pybind11 cmake ninja
	$(PIP) install --quiet --no-build-isolation --editable '.[all,dev]'
	$(PIP) install --quiet --no-deps curvlinops-for-pytorch
	touch $@

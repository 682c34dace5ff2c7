# Two commands do everything on a fresh machine: `make demo` runs the main job, `make test` passes the tests.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.flipflow-installed
JOBS   ?= 2
ROOMS  := train export hw sim cpu
NATIVE := $(shell find cpu/src cpu/include -name '*.cpp' -o -name '*.h') cpu/CMakeLists.txt $(wildcard sim/*.cpp sim/*.h)
TEST   := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS)
TYPING := build/typing# the package as mypy wants to see it: all rooms in one folder

.PHONY: setup demo test test-slow lint format docs arm clean

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml CMakeLists.txt $(NATIVE) sim/harness/stall.h
	@$(PYTHON) scripts/check_machine.py
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps -r requirements.lock
	# Nothing more where torch is a CPU build; elsewhere the CUDA libraries that this build of it cannot be imported without.
	$(BIN)/python -m pip install --quiet $(shell grep '^torch==' requirements.lock)
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup
	$(BIN)/flipflow run configs/digits-cnn.toml
	$(BIN)/flipflow bench runs/digits-cnn

# The jobs fill the machine: threads of their own would only wait for each other. Files go out whole, so that what a file's tests
# share is made once, and in order: the long ones come first.
test: setup
	$(TEST) --dist loadfile --no-loadscope-reorder -m "not slow"

test-slow: setup
	$(TEST) --dist worksteal -m slow

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -rf $(TYPING) && mkdir -p $(TYPING)/flipflow && ln -s $(addprefix $(CURDIR)/,$(wildcard flipflow/*) $(ROOMS)) $(TYPING)/flipflow/
	MYPYPATH=$(TYPING) $(BIN)/mypy -p flipflow

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: setup
	$(BIN)/python scripts/generate_docs.py

# A static program for 64-bit ARM that needs nothing else: copy build/arm/flipflow-runner and a plan (see docs/cpu.md).
arm:
	cmake -S cpu -B build/arm -DCMAKE_TOOLCHAIN_FILE=$(CURDIR)/cpu/arm/toolchain-aarch64.cmake -DFLIPFLOW_RUNNER=ON -DFLIPFLOW_STATIC=ON
	cmake --build build/arm --parallel $(JOBS)

clean:
	rm -rf build runs .pytest_cache .mypy_cache .ruff_cache .hypothesis

# One word per habit. Each word does its own set-up on a fresh machine.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

export FLWR_TELEMETRY_ENABLED := 0
export FLWR_DISABLE_UPDATE_CHECK := 1
export FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION := 1
export FLWR_HOME := $(CURDIR)/$(VENV)/flwr-home
# one thread per process: our matrices are small, and two cores are shared
export OPENBLAS_NUM_THREADS ?= 1
export OMP_NUM_THREADS ?= 1
ifneq ($(wildcard ../shared/data),)
export FIELDVOTE_DATA ?= $(abspath ../shared/data)
endif

.PHONY: help demo test check format bench docs clean
help:
	@echo "make demo    rehearse a fleet on this machine and open the report (about a minute after set-up)"
	@echo "make test    run every test"
	@echo "make check   format, lint, types, import order"
	@echo "make bench   run the benchmarks, quickly"
	@echo "make docs    redraw the pictures that scripts make"

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP)
	$(BIN)/fieldvote demo

test: $(STAMP)
	$(BIN)/python -m pytest -q

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP)
	@for script in tests/benchmarks/[a-z]*.py; do $(BIN)/python $$script --quick || exit 1; done

docs: $(STAMP)
	$(BIN)/python docs/ring.py docs/ring.svg

clean:
	rm -rf $(VENV) build dist

# One word per habit. Each word does its own set-up on a fresh machine.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PEERS  := .venv-peers
# Flower versions beside the installed one that the light node is tested with; the oldest must fail
FLOWERS := 1.39.0 1.40.0 1.42.0
WHEELS := $(VENV)/wheels/.downloaded

export FLWR_TELEMETRY_ENABLED := 0
export FLWR_DISABLE_UPDATE_CHECK := 1
export FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION := 1
export FLWR_HOME := $(CURDIR)/$(VENV)/flwr-home
# one thread per process: our matrices are small, and two cores are shared
export OPENBLAS_NUM_THREADS ?= 1
export OMP_NUM_THREADS ?= 1
# whatever the machine says, what was compiled is kept: the tests start hundreds of programs
export PYTHONDONTWRITEBYTECODE :=
ifneq ($(wildcard ../shared/data),)
export FIELDVOTE_DATA ?= $(abspath ../shared/data)
endif

.PHONY: help demo test nightly check compat format bench bench-peers docs clean
help:
	@echo "make demo    rehearse a fleet on this machine and open the report (about a minute after set-up)"
	@echo "make test    run every test"
	@echo "make nightly run the counts that are too long for every change (an hour or two)"
	@echo "make check   format, lint, types, import order"
	@echo "make compat  download the Flower versions the tests compare with (make test does it too)"
	@echo "make bench   run the benchmarks, quickly"
	@echo "make bench-peers  install the peers that benchmarks run beside ours with --peers"
	@echo "make docs    redraw the pictures that scripts make"

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP)
	$(BIN)/fieldvote demo

compat: $(WHEELS)

# without a network the tests go on, and those that want a wheel skip and say so
$(WHEELS): | $(STAMP)
	@mkdir -p $(@D)
	@for version in $(FLOWERS); do \
		$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --retries 1 \
			--dest $(@D) flwr==$$version >$(@D)/pip.log 2>&1 \
			|| { echo "flwr $$version was not downloaded: see $(@D)/pip.log, then make compat"; exit 0; }; \
	done; touch $@

# Three tests at a time on two cores, as some wait for programs; each is handed out when somebody
# is free for it, so that the long ones are not dealt to one worker.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(3 * os.cpu_count() // 2)')
test: $(STAMP) $(WHEELS)
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist load --maxschedchunk 1

nightly: $(STAMP)
	$(BIN)/python -m pytest -q -m nightly --timeout=36000

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

bench-peers: $(PEERS)/.installed

# in a venv of their own: none of them is ever imported by us
$(PEERS)/.installed:
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check \
		torch==2.13.0 snorkel==0.10.0 modAL-python scikit-activeml small-text apricot-select \
		dp-accounting==0.6.0 structlog torchmetrics
	@# Baal asks for all of Jupyter, which none of its rules need
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps baal
	@touch $@

docs: $(STAMP)
	$(BIN)/python docs/ring.py docs/ring.svg
	$(BIN)/python docs/rounds.py docs/rounds.svg

clean:
	rm -rf $(VENV) build dist

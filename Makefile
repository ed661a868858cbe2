# Everything a person does with a checkout. `make demo` and `make test` do their own set-up.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALLED := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test chaos services lint format lock clean

help: ## show this
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

install: $(INSTALLED) ## make .venv with everything in it

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "affectstream needs Python 3.11, 3.12 or 3.13: apt-get install python3, or make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && \
		apt-get install -y -qq --no-install-recommends python3-venv; } || \
		{ echo "Python's venv is missing: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(INSTALLED) ## watch the built-in scene and show what was found (no server, no download)
	@rm -f demo.db demo.db-wal demo.db-shm
	AFFECTSTREAM_MODELS_DOWNLOAD=false $(BIN)/affectstream run demo --db demo.db

services: ## install the servers and tools that the tests start, where they are missing (Debian)
	@tests/services/install

test: $(INSTALLED) services ## run all tests on real servers
	$(BIN)/pytest -n 2 --dist loadgroup --max-worker-restart 0 -ra

SEED ?= 1
MINUTES ?= 2
chaos: $(INSTALLED) services ## kill workers and servers amid a replay and count what came of it (SEED=, MINUTES=)
	$(BIN)/python -m benchmarks.chaos --seed $(SEED) --minutes $(MINUTES)

lint: $(INSTALLED) ## linter, formatter, type checker
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(INSTALLED) ## put the code into shape
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

COMPILE := uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11 pyproject.toml

lock: ## pin all dependencies anew, with hashes (needs uv): for work on it, for the image, for the image with a GPU
	$(COMPILE) --upgrade --extra dev -o requirements.lock
	sed -n 's/^tensorflow==\([^ ]*\).*/tensorflow-cpu==\1/p' requirements.lock | \
		$(COMPILE) - --constraint requirements.lock --no-annotate --no-emit-package tensorflow -o requirements.runtime.lock
	$(COMPILE) --constraint requirements.lock --no-annotate --extra gpu -o requirements.gpu.lock

clean: ## remove what was made
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache demo.db demo.db-wal demo.db-shm

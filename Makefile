# Every command of the project. Each target does its own set-up; a second run finds it done.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The only place where Poetry's version stands. The plugin lets it use the index that pip is configured with.
POETRY_PACKAGES := poetry==2.5.1 poetry-plugin-pypi-mirror==0.6.5

# make test PYSPARK=4.0.* runs against another Spark than the locked one, in an environment of its own.
PYSPARK ?=
VENV := .venv$(if $(PYSPARK),-pyspark-$(subst *,x,$(PYSPARK)))
BIN := $(VENV)/bin
POETRY := $(BIN)/python scripts/poetry.py

# Passed on to pytest: make test ARGS="tests/http -k verdict"
ARGS ?=

# Two processes, each with a Spark session of its own; the tests of a file stay together, for they share servers, and
# tests/conftest.py says which files are begun first.
# make test WORKERS=0 runs them in one, as a debugger needs it.
WORKERS ?= 2
PYTEST := $(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# make setup PYTHON=python3.12 picks the interpreter; otherwise the newest suitable one is found.
export PYTHON

# Stamps: what has been installed, as files that are newer than what asked for it.
POETRY_READY := $(VENV)/.poetry-ready
DEMO_READY := $(VENV)/.demo-ready
DEV_READY := $(VENV)/.dev-ready

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: java $(DEV_READY) ## Make .venv with everything that tests, checks and docs need

.PHONY: install-dev
install-dev: setup ## The same, and the checks that run before each commit
	$(BIN)/pre-commit install

.PHONY: demo
demo: java $(DEMO_READY) ## See it work: a local API, Spark, rows in and out
	$(BIN)/trunkline demo

.PHONY: test
test: setup ## Run the tests, without the slow and the live ones
	$(PYTEST) $(ARGS)

.PHONY: test-unit
test-unit: setup ## Run the tests that need no Spark session
	$(PYTEST) -m "not spark and not slow and not live" $(ARGS)

.PHONY: test-spark
test-spark: setup ## Run the tests that need a Spark session
	$(PYTEST) -m "spark and not slow and not live" $(ARGS)

.PHONY: test-cov
test-cov: setup ## Run the tests and report which lines they reach
	$(BIN)/pytest --cov --cov-report=term-missing:skip-covered --cov-report=xml:build/coverage.xml $(ARGS)

.PHONY: test-slow
test-slow: setup ## Run the soak, scale, cluster and version-matrix tests
	$(BIN)/pytest -m "slow and not live" $(ARGS)

.PHONY: lint
lint: setup ## Report what ruff and mypy find
	$(BIN)/ruff check
	$(BIN)/mypy

.PHONY: format
format: setup ## Format the code and mend what ruff can mend
	$(BIN)/ruff check --fix-only --quiet
	$(BIN)/ruff format

.PHONY: check
check: lint ## All that must be clean before a merge, but for the tests
	$(BIN)/ruff format --check
	$(POETRY) check --lock

.PHONY: lock
lock: $(POETRY_READY) ## Bring poetry.lock in step with pyproject.toml
	$(POETRY) lock

.PHONY: docs
docs: setup ## Build the documentation site into build/site
	$(BIN)/mkdocs build --strict --site-dir build/site

.PHONY: clean
clean: ## Remove all that can be made again, the virtual environments included
	rm -rf .venv .venv-pyspark-* build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
	rm -rf spark-warehouse metastore_db derby.log artifacts
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: java
java:
	@scripts/java.sh

# Poetry lives in a folder of its own inside the environment, so that no package of ours can break it.
$(POETRY_READY): Makefile scripts/find-python.sh
	python=$$(scripts/find-python.sh); \
	[ -x $(BIN)/python ] || "$$python" -m venv $(VENV); \
	[ -x $(VENV)/poetry/bin/pip ] || "$$python" -m venv $(VENV)/poetry
	$(VENV)/poetry/bin/pip install --quiet --disable-pip-version-check $(POETRY_PACKAGES)
	ln -sfn ../poetry/bin/poetry $(BIN)/poetry
	touch $@

$(DEMO_READY): $(POETRY_READY) pyproject.toml poetry.lock
	$(POETRY) install --only main --extras spark
	touch $@

$(DEV_READY): $(POETRY_READY) pyproject.toml poetry.lock
	$(POETRY) install --all-extras
	$(if $(PYSPARK),$(BIN)/pip install --quiet --disable-pip-version-check "pyspark[connect]==$(PYSPARK)")
	touch $(DEMO_READY) $@

# Every target sets itself up from Python 3.11 to 3.13, pip and make alone; uv is brought by pip into the project's own environment.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export UV_PROJECT_ENVIRONMENT := $(VENV)
# Of the tests at once: one more than a small machine's cores, since a third of their time is waiting for servers.
JOBS ?= 3

.DEFAULT_GOAL := help
.PHONY: help install demo test dev bench docs docs-test faults fmt lint types

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

$(BIN)/uv:
	$(PYTHON) -c 'import sys; sys.exit("Orimono needs Python 3.11, 3.12 or 3.13; set PYTHON=python3.11") if not (3,11) <= sys.version_info[:2] < (3,14) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

AIRFLOW := .venv-airflow
$(AIRFLOW)/.installed: dags/airflow/pyproject.toml dags/airflow/uv.lock | $(BIN)/uv
	UV_PROJECT_ENVIRONMENT=$(CURDIR)/$(AIRFLOW) $(BIN)/uv sync --quiet --frozen --compile-bytecode --project dags/airflow
	@touch $@

$(VENV)/.installed: pyproject.toml uv.lock | $(BIN)/uv
	$(BIN)/uv sync --quiet --frozen --compile-bytecode
	@touch $@

install: $(VENV)/.installed  ## the environment, as uv.lock pins it

airflow: $(AIRFLOW)/.installed  ## Airflow's own environment, for the DAGs in dags/airflow

demo: install  ## the five systems on the sample library; prints where each result lies
	$(BIN)/orimono demo

dev: install  ## Dagster UI and daemon, API and admin pages on loopback
	$(BIN)/orimono up

# A defect fails twice. A time-out on a machine that was busy with three servers and two trainings does not, and is
# worth a look in the log, not a red build: what failed is run once more, alone, and must pass then. (The names that
# pytest remembers end with xdist's groups, which a run without xdist does not know.)
test: install airflow  ## all tests, as CI runs them
	@$(BIN)/python -m compileall -q pipelines assets resources dags serving tests definitions.py  # some thousand processes start
	$(BIN)/pytest -n $(JOBS) --dist loadgroup || { [ $$? -eq 1 ] && echo "Again, alone:" && sed -i 's/@[a-z]*": true/": true/' .pytest_cache/v/cache/lastfailed && $(BIN)/pytest -v --last-failed --last-failed-no-failures none; }

faults: install  ## fifty rounds of kills, full disks and cut networks under work; two minutes each
	$(BIN)/pytest -m rounds tests/faults
	$(BIN)/python -m tests.faults --rounds $(or $(ROUNDS),50) --seed $(or $(SEED),0)

bench: install  ## every measured figure, written to benchmarks/results/
	$(BIN)/python -m benchmarks

docs: install  ## the documentation, into site/, without the network; open site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet

docs-test: install  ## every command of the documentation, the tutorial too, as a reader types them
	$(BIN)/python -m tests.docs

fmt: install  ## format
	$(BIN)/ruff check --quiet --fix . || true
	$(BIN)/ruff format --quiet .

lint: install  ## ruff and the import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: install  ## strict types over pipelines/
	$(BIN)/mypy

# Everything that is done to this repository, on a machine with Python 3.11 or newer and make.

PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
WORKERS ?= 1
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXAMPLES := data/.examples-loaded
DATABASE := sqlite:///data/fhir.sqlite
PYTEST_ARGS ?=
# A test mostly waits for a server, so there are more at a time than processors.
JOBS ?= $(shell expr $$(nproc 2>/dev/null || echo 2) \* 3 / 2)

# A server starts in 0.5 s of CPU and not 0.9 when Python may keep what it compiled; the tests start hundreds.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup serve demo test lint bench clean

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 16

setup: $(STAMP) ## Make the virtual environment; skipped when it is up to date

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'Python 3.11 or newer is needed; name it: make PYTHON=python3.12'; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,clients]'
	$(BIN)/python -m compileall -q fhir_server
	@touch $@

serve: $(EXAMPLES) ## Serve FHIR with the example region; the first run loads it
	@echo 'FHIR base: http://$(HOST):$(PORT)/fhir   (Ctrl-C stops it)'
	@echo 'Try:'
	@echo "  curl 'http://$(HOST):$(PORT)/fhir/metadata?_summary=true&_pretty=true'"
	@echo "  curl 'http://$(HOST):$(PORT)/fhir/Patient/patient-1-1?_pretty=true'"
	@echo "  curl 'http://$(HOST):$(PORT)/fhir/Slot?schedule.actor=HealthcareService/cardiology-1&status=free&start=ge$$(date +%F)&_sort=start&_count=3&_pretty=true'"
	@exec $(BIN)/fhir-server serve --host $(HOST) --port $(PORT) --workers $(WORKERS) --database $(DATABASE)

$(EXAMPLES): | $(STAMP)
	@mkdir -p data
	$(BIN)/python examples/region.py --out data/region.ndjson
	$(BIN)/fhir-server load data/region.ndjson --database $(DATABASE)
	@touch $@

demo: $(STAMP) ## Play the journey of a referral on a server and a database of its own
	$(BIN)/python -m tools.demo

test: $(STAMP) ## Run the tests on SQLite and PostgreSQL
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

lint: $(STAMP) ## Check style, formatting, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP) ## Measure throughput, latency and memory on SQLite
	$(BIN)/python -m bench

clean: ## Remove the example database and what tools left behind
	rm -rf data build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# Dataelan: `make` tells what there is. All it needs is Python 3.11 or later; the rest it installs into .venv.

.DEFAULT_GOAL := help
.PHONY: help run flask test test-browser test-sweeps test-faults lint bench vendor lock audit clean

# The tests wait as well as work: three processes for two cores, each with servers of its own.
SIDE_BY_SIDE := -n 3 --dist worksteal
PYTEST_ARGS ?= $(SIDE_BY_SIDE) -m "not kills and not sweep and not browser"
VENV := .venv
PYTHON := $(VENV)/bin/python
INSTALL := $(PYTHON) -m pip install -qq --disable-pip-version-check --no-input --require-hashes
FOUND = $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v $$python; break; }; done)

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/run ## start everything on http://127.0.0.1:8000 (PORT=…, DATAELAN_DATA_DIR=…, .env)
	@exec $(PYTHON) -m dataelan_web.local

flask: $(VENV)/run ## run a flask command against the same data: make flask ARGS="create-superuser --email …"
	@exec $(PYTHON) -m dataelan_web.local flask $(ARGS)

test: $(VENV)/dev ## run the tests, or some: make test PYTEST_ARGS="tests/router -x"
	@exec $(PYTHON) -m pytest $(PYTEST_ARGS)

test-browser: $(VENV)/dev ## walk through the pages in a real Chromium, which has to be installed
	@exec $(PYTHON) -m pytest $(SIDE_BY_SIDE) -m "browser and not sweep"

test-sweeps: $(VENV)/dev ## ask the same of every route, page, pattern and recording
	@exec $(PYTHON) -m pytest $(SIDE_BY_SIDE) -m sweep

test-faults: $(VENV)/dev ## break a Dataelan of its own 1,000 times: DATAELAN_FAULTS=…, DATAELAN_FAULT_SEED=… (docs/reliability.md)
	@failed=0; $(PYTHON) -m tests.faults || failed=1; \
	DATAELAN_ROUNDS=$${DATAELAN_ROUNDS:-100} DATAELAN_SEQUENCES=$${DATAELAN_SEQUENCES:-10000} \
		$(PYTHON) -m pytest -q $(wildcard tests/test_quota*.py tests/quota) || failed=1; \
	$(PYTHON) -m pytest -q -m kills tests || failed=1; \
	DATAELAN_RACES=$${DATAELAN_RACES:-1000} $(PYTHON) -m pytest -q tests/test_races.py || failed=1; \
	DATAELAN_EXPRESSIONS=$${DATAELAN_EXPRESSIONS:-50000} $(PYTHON) -m pytest -q \
		tests/router/test_expressions.py tests/router/test_contradictions.py || failed=1; \
	DATAELAN_CALLS=$${DATAELAN_CALLS:-300} $(PYTHON) -m pytest -q tests/test_gateway_schema.py || failed=1; \
	exit $$failed

lint: $(VENV)/dev ## check style and types
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

bench: $(VENV)/dev ## measure: make bench BENCH_ARGS="…"
	@exec $(PYTHON) -m benchmarks $(BENCH_ARGS)

vendor: ## refresh static/vendor from the pinned packages (needs npm)
	sh static/vendor/vendor.sh

lock: ## pin the newest versions of requirements*.in, with hashes (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: pip install uv" >&2; exit 1; }
	uv pip compile -q -U --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --universal requirements.in -o requirements.txt
	uv pip compile -q -U --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --universal requirements-traces.in -o requirements-traces.txt
	uv pip compile -q -U --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --universal requirements-dev.in -o requirements-dev.txt

audit: ## ask PyPI which pinned libraries have known holes (needs pip-audit)
	@command -v pip-audit >/dev/null || { echo "make audit needs pip-audit: pip install pip-audit" >&2; exit 1; }
	pip-audit --strict --disable-pip --require-hashes $(patsubst %,-r %,$(wildcard requirements*.txt))

clean: ## remove what was installed and cached; your data in var/ stays
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .hypothesis test-results
	find . -name __pycache__ -not -path './var/*' -prune -exec rm -rf {} +

# Each stamp is newer than the lock file it was installed from.
$(VENV)/run: requirements.txt | $(PYTHON)
	@echo "Installing what Dataelan runs on (once, under a minute) …" >&2
	@$(INSTALL) -r requirements.txt && touch $@

$(VENV)/dev: requirements-dev.txt $(VENV)/run
	@echo "Installing what its tests need …" >&2
	@$(INSTALL) -r requirements-dev.txt && touch $@

$(PYTHON):
	@test -n "$(FOUND)" || { echo "Dataelan needs Python 3.11 or later, and finds none." >&2; exit 1; }
	@echo "Making $(VENV) with $(FOUND) …" >&2
	@$(FOUND) -m venv $(VENV) || { rm -rf $(VENV); echo "$(FOUND) has no venv module; on Debian: apt install python3-venv" >&2; exit 1; }

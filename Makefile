# Everything is installed into .venv; PYTHON=python3.12 names another interpreter for a new one.
# ARGS="..." is passed on to llama-proxy or pytest.

PYTHON ?= python3
export PYTHON

python := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help run test check check-format check-lint check-types check-imports check-pages check-dashboard format \
	bench screenshots soak soak-page test-llama-server catalogue setup runtime development lock clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' Makefile

run: runtime ## set up what is needed and run the stack until Ctrl-C
	@exec .venv/bin/llama-proxy up $(ARGS)

test: development ## set up what is needed and run every test, two at a time
	$(python) -m pytest -n 2 $(ARGS)

check: check-format check-lint check-types check-imports check-pages check-dashboard ## all that review runs

check-format: development
	$(python) -m ruff format --check .

check-lint: development
	$(python) -m ruff check .

check-types: development
	$(python) -m mypy

check-imports: development
	.venv/bin/lint-imports --no-logo

check-pages: development
	$(python) -m deploy.api_page --check
	$(python) -m deploy.api_types --check

check-dashboard: development
	$(python) hatch_build.py node node_modules/svelte-check/bin/svelte-check \
		--tsconfig tsconfig.json --fail-on-warnings --output human
	$(python) hatch_build.py node node_modules/eslint/bin/eslint.js --max-warnings 0 .

format: development ## write the sources as the checks want them
	$(python) -m ruff format .
	$(python) -m ruff check --fix .
	$(python) -m deploy.api_page
	$(python) -m deploy.api_types

bench: ## set up what is needed and run every benchmark, one after the other
	@sh scripts/setup.sh benchmarks
	@for script in benchmarks/[!_]*.py; do \
		module=$${script##*/}; \
		echo "== $$script"; \
		$(python) -m "benchmarks.$${module%.py}" || exit; \
	done

screenshots: development ## write docs/images anew from a running stack with demo models
	$(python) -m tests.browser.screenshots

soak: development ## random kills, loads and chats for MINUTES=10, with what must hold checked
	$(python) -m tests.soak $(or $(MINUTES),10)

soak-page: development ## the dashboard under live metrics and 1,000 log lines a second: MINUTES=5
	$(python) -m tests.browser.soak $(or $(MINUTES),5)

test-llama-server: development ## run the system tests on a real engine: ENGINE=path
	@test -f "$(ENGINE)" && test -x "$(ENGINE)" || { \
		echo 'Name a llama-server program: ENGINE=/usr/local/bin/llama-server' >&2; exit 2; }
	TEST_LLAMA_SERVER="$$(realpath "$(ENGINE)")" $(python) -m pytest tests/system \
		tests/unit/test_engine_help_text.py tests/integration/test_engine_parameters.py $(ARGS)

catalogue: development ## write the shipped catalogue of flags anew from an engine: ENGINE=path
	@test -f "$(ENGINE)" && test -x "$(ENGINE)" || { \
		echo 'Name a llama-server program: ENGINE=/usr/local/bin/llama-server' >&2; exit 2; }
	$(python) -m workers.runner.catalogue_file "$$(realpath "$(ENGINE)")"

setup: development ## only set up what running, checking and testing need

runtime:
	@sh scripts/setup.sh runtime

development: runtime
	@sh scripts/setup.sh development

lock: development ## pin the dependencies again; ARGS=--upgrade takes the newest ones
	sh scripts/lock.sh $(ARGS)

clean: ## remove what was installed and built; models, settings and logs (var/) stay
	rm -rf .venv tests/js/node_modules gateway/dashboard/node_modules gateway/dashboard/dist \
		dist build .coverage \
		.mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find common gateway workers deploy tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

# Two commands need nothing but Python 3.11+ and make: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
JAVASCRIPT := tests/foreign/javascript/node_modules

.PHONY: demo test check bench simulate prove clean

demo: $(VENV)/.installed
	$(BIN)/graphkit demo

# Lint, types, layers, tests: what a change must pass.
test: check $(JAVASCRIPT)
	$(BIN)/python -m pytest -n auto

check: $(VENV)/.developer
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.developer
	$(BIN)/python tools/bench.py
	$(BIN)/python tools/bench_tenant.py
	$(BIN)/python tools/bench_plan.py

# Kills at every step, every fault, a soak: the table of docs/reliability.md; takes the better part of an hour.
prove: $(VENV)/.developer
	$(BIN)/python tools/prove.py

# An onboarding of 1.2 million people on virtual time; takes half an hour.
simulate: $(VENV)/.developer
	$(BIN)/python tools/onboarding.py

clean:
	rm -rf $(VENV) $(JAVASCRIPT) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "graphkit needs Python 3.11 or newer; try: make PYTHON=python3.13 " + "demo")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.developer: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.installed

# Clients that nobody here wrote hold conversations with the simulated tenant, those in JavaScript where npm is.
$(JAVASCRIPT): tests/foreign/javascript/package.json
	@if command -v npm >/dev/null; \
	then npm install --prefix $(@D) --no-package-lock --no-audit --no-fund --loglevel=error && touch $@; \
	else echo "npm is not here: the JavaScript clients are left out of the tests"; fi

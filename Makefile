# Two commands need nothing but Python 3.11+ and make: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
FOREIGN := tests/foreign/javascript/node_modules tests/foreign/azurite/node_modules
# The worker library of Azure Functions wants a Python of its own.
WORKER := tests/foreign/functions/.venv
PYENV_ROOT ?= $(HOME)/.pyenv
PYTHON313 ?= $(shell for each in python3.13 $(PYENV_ROOT)/versions/3.13*/bin/python; do \
	$$each -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null && echo $$each && break; done)

.PHONY: demo test check bench simulate prove functions clean

demo: $(VENV)/.installed
	$(BIN)/graphkit demo

# Lint, types, layers, tests: what a change must pass.
test: check $(FOREIGN) $(WORKER)/.installed
	$(BIN)/python -m pytest -n auto -rs

check: $(VENV)/.developer
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.developer
	$(BIN)/python tools/bench.py
	$(BIN)/python tools/bench_tenant.py
	$(BIN)/python tools/bench_plan.py

# Kills at every step, every fault, a soak: the table of docs/reliability.md; takes half an hour.
prove: $(VENV)/.developer
	$(BIN)/python tools/prove.py

# An onboarding of 1.2 million people on virtual time; takes half an hour.
simulate: $(VENV)/.developer
	$(BIN)/python tools/onboarding.py

# What is deployed to Azure Functions (docs/azure-functions.md): the app, and graphkit as a wheel beside it.
functions: $(VENV)/.developer
	rm -rf build/functions
	mkdir -p build
	cp -R deploy/functions build/functions
	$(BIN)/python -m hatchling build -t wheel -d build/functions/wheels

clean:
	rm -rf $(VENV) $(FOREIGN) $(WORKER) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "graphkit needs Python 3.11 or newer; try: make PYTHON=python3.13 " + "demo")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.developer: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.installed

# What nobody here wrote and is tested with: clients in JavaScript, and the emulator of Azure's queues, where npm is.
tests/foreign/%/node_modules: tests/foreign/%/package.json
	@if command -v npm >/dev/null; \
	then npm install --prefix $(@D) --no-package-lock --no-audit --no-fund --loglevel=error && touch $@; \
	else echo "npm is not here: $(*F) is left out of the tests"; fi

$(WORKER)/.installed: pyproject.toml
	@if [ -n "$(PYTHON313)" ]; \
	then $(PYTHON313) -m venv $(WORKER) && $(WORKER)/bin/python -m pip install --quiet --disable-pip-version-check \
		azure-functions-runtime --editable '.[functions]' && touch $@; \
	else echo "Python 3.13 is not here: the worker library of Azure Functions is left out of the tests"; fi

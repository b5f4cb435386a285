# Each target works as the first command on a fresh machine.
PYTHON ?= python3
BIN := .venv/bin
PYTEST = $(BIN)/pytest -n 2 --dist worksteal $(COVERAGE)
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: install evaluate test slow torture check bench matrix

install: .venv/installed

.venv/installed: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

evaluate: install
	$(BIN)/luigi --module tasks Evaluate

test: install
	$(PYTEST)

slow: install
	$(PYTEST) -m slow

torture: install
	$(PYTEST) -m torture

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST)

bench: install
	for benchmark in benchmarks/*.py; do $(BIN)/python $$benchmark || exit 1; done

matrix:
	.ci/matrix

# Each target works as the first command on a fresh machine.
PYTHON ?= python3
BIN := .venv/bin
PYTEST = $(BIN)/pytest -n 2 --dist worksteal $(COVERAGE)
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: install evaluate test slow torture check bench gpu matrix

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
	$(PYTEST) -n 3 -m slow  # they wait more than they compute

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

# Where there is no environment, a Python that has torch, as images for GPUs bring it, does without one.
gpu:
	@if [ ! -e .venv/installed ] && $(PYTHON) -c 'import torch' 2>/dev/null; \
	then python=$(PYTHON); \
	else $(MAKE) install && python=$(BIN)/python; \
	fi && $$python benchmarks/gpu/run.py $(GPU)

matrix:
	.ci/matrix

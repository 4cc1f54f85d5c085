# Every target makes what it needs: a Python 3.11 or later, make and git are enough.

VENV := .venv
BIN := $(VENV)/bin
EXTRAS := rest,db,sim,debug,docs,dev
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt
PYTEST_ARGS ?=
TEST_PROCESSES ?= 2
# The tests start hundreds of processes, which need not compile the same sources again and again.
unexport PYTHONDONTWRITEBYTECODE

# The first Python that is new enough and can make virtual environments; the versions tested come first.
find_python = for candidate in python3:14 python3.13:14 python3.12:14 python3.11:14 python3:99; do \
	    name=$${candidate%:*}; before=$${candidate\#*:}; \
	    if "$$name" -c "import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, $$before))" \
	        >/dev/null 2>&1; then echo "$$name"; exit; fi; \
	done

.DEFAULT_GOAL := help
.PHONY: help setup demo test unit system soak bench lint style types imports format docs build clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

setup: $(VENV)/.all ## everything for development into .venv

demo: $(VENV)/.base ## observe with a simulated telescope, and stop an observation in mid-scan
	@$(BIN)/python -P -m ska_oso_oet.demo

test: $(VENV)/.all ## all tests (PYTEST_ARGS="-k name -x" to choose, TEST_PROCESSES=0 for one after another)
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile $(PYTEST_ARGS)

unit: $(VENV)/.all ## the tests of rules: no Tango, no processes, seconds
	@$(BIN)/python -m pytest tests/unit -n $(TEST_PROCESSES) --dist loadfile $(PYTEST_ARGS)

system: $(VENV)/.all ## the tests on a real Tango database
	@$(BIN)/python -m pytest tests/system $(PYTEST_ARGS)

soak: $(VENV)/.all ## thousands of procedures, and load while parts are killed, with an oracle; on a machine that does nothing else
	@$(BIN)/python -m pytest tests/engine -m soak $(PYTEST_ARGS)
	@OET_LOAD=long $(BIN)/python -m pytest -s tests/system/test_load_oracle.py $(PYTEST_ARGS)

bench: $(VENV)/.all ## how long operators wait, and what the engine stands; on a machine that does nothing else
	@for name in latency load events history http_api; do echo "== $$name"; $(BIN)/python benchmarks/$$name.py || exit 1; done

lint: style types imports ## style, types and the direction of imports

style: $(VENV)/.all
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/.all
	@$(BIN)/mypy

imports: $(VENV)/.all
	@$(BIN)/lint-imports

format: $(VENV)/.all ## let ruff format and mend what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(VENV)/.all ## the documentation as HTML, into docs/_build/html
	@$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo docs/_build/html/index.html

build: $(VENV)/.all ## the wheel and the source archive, into dist/
	@$(BIN)/python -m build --outdir dist .

clean: ## remove the virtual environment and all that was built
	@rm -rf $(VENV) build dist docs/_build src/*.egg-info .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/pip:
	@python="$(PYTHON)"; [ -n "$$python" ] || python=$$($(find_python)); \
	if [ -z "$$python" ]; then \
	    echo "No Python 3.11 or later with the modules venv and ensurepip was found on PATH." >&2; \
	    echo "Install one (on Debian: apt install python3 python3-venv) or name it: make PYTHON=/path/to/python3.12" >&2; \
	    exit 1; \
	fi; \
	echo "making $(VENV) with $$python ($$($$python --version))"; "$$python" -m venv $(VENV)

$(VENV)/.base: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "installing the OET into $(VENV)"
	@$(PIP) --editable .
	@touch $@

$(VENV)/.all: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "installing the OET and its development tools into $(VENV)"
	@$(PIP) --editable ".[$(EXTRAS)]"
	@touch $(VENV)/.base $@

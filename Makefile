# Every target sets up all it needs; a second run skips what is in place.
# Choose a Python with: make PYTHON=/path/to/python3.12 test

VENV ?= .venv
ifndef PYTHON
PYTHON := $(shell for p in python3 python python3.11 python3.12 python3.13 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
endif
READY := $(VENV)/ready-$(subst /,_,$(PYTHON))
RUN := $(VENV)/bin/python -m
PYTEST := $(RUN) pytest -n 2 --dist worksteal -q

.PHONY: demo test test-slow test-all lint format clean

demo: $(READY) ## compile a spec, train on a zoo of small networks, check the result
	$(VENV)/bin/python examples/demo.py

test: $(READY) ## the quick tests
	$(PYTEST) -m "not slow"

test-slow: $(READY) ## the tests that take more than ten seconds (exit code 5 says there are none)
	$(PYTEST) -m slow || test $$? -eq 5

test-all: $(READY) ## every test
	$(PYTEST)

lint: $(READY) ## style, layout and types
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy

format: $(READY) ## put the layout right
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

clean: ## remove everything that was made here
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml .ci/setup.py
	@test -n "$(PYTHON)" || \
		{ echo "no Python 3.11 or newer found; name one: make PYTHON=/path/to/python3" >&2; exit 2; }
	"$(PYTHON)" .ci/setup.py $(VENV) $@

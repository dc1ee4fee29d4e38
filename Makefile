# Everything here runs inside .venv, which the first target makes.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install demo test lint format types layers check kills long bench clean

install: $(BIN)/.installed

$(BIN)/.installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -e '.[dev]'
	touch $@

demo: install
	$(BIN)/antiphon demo

test: install
	$(BIN)/pytest -n 4

lint: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: install
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: install
	$(BIN)/mypy

layers: install
	$(BIN)/lint-imports

check: lint types layers test

# The long versions of what the suite does in small.
kills: install
	$(BIN)/python -m tests.kills --count 1000

long: kills
	ANTIPHON_LONG=1 $(BIN)/pytest tests/acceptance/test_long_chain.py tests/acceptance/test_upstream_faults.py tests/conformance
	$(BIN)/python -m tests.sweeps aborts --count 1000
	$(BIN)/python -m tests.sweeps resume --count 1500
	$(BIN)/python -m tests.sweeps idempotency --count 500
	$(BIN)/python -m tests.sweeps concurrency --count 200
	$(BIN)/python -m tests.sweeps restarts --count 200
	$(BIN)/python -m tests.faults writes
	$(BIN)/python -m tests.faults corruption --count 2000
	$(BIN)/python -m tests.upstream_faults cuts --count 200000
	$(BIN)/python -m tests.crypto.kills --count 50
	$(BIN)/python -m tests.fuzz --count 1000000
	ANTIPHON_STORE_EXAMPLES=1000 $(BIN)/pytest tests/stores/test_machine.py

bench: install
	$(BIN)/python -m benchmarks.run

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

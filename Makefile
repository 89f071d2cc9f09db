# `make demo` and `make test` are all that a newcomer needs; each makes .venv when it is missing.
.DEFAULT_GOAL := help
# Without written bytecode each of the thousands of processes in the suite would compile all of fleet again.
unexport PYTHONHOME PYTHONPATH PYTHONDONTWRITEBYTECODE
BIN := .venv/bin
# An environment remembers its path: the stamp names it, so a copied folder repairs its copied .venv.
STAMP := .venv/.stamp-$(shell pwd -P | cksum | cut -d ' ' -f 1)
LOCK := $(shell command -v flock >/dev/null 2>&1 && echo flock .venv.lock)

help:  ## what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-7s %s\n", $$1, $$2}' Makefile

# The lock lets two makes start at once in a fresh clone.
$(STAMP): pyproject.toml .ci/venv
	@$(LOCK) .ci/venv $@

demo: $(STAMP)  ## three stateless hosts on the twin: plan, boot, configure, edit, roll back
	@.demo/run.sh

test: $(STAMP)  ## the whole test suite, on four workers (half of what it does is waiting)
	$(BIN)/python -m pytest -n 4 --dist worksteal $(PYTEST_ARGS)

lint: $(STAMP)  ## ruff
	$(BIN)/ruff check .

types: $(STAMP)  ## mypy --strict
	$(BIN)/python -m mypy

bench: $(STAMP)  ## CPU time and memory against their targets
	$(BIN)/python -m tests.benchmarks

clean:  ## remove what make made
	rm -rf .venv .venv.lock .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
	find planner providers state tests -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help demo test lint types bench clean

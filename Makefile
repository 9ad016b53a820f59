# Two commands do everything on a fresh machine with Python 3.11+ and make: `make demo` and `make test`.
# uv is used where it is installed; otherwise it is brought into .tools, away from the system.

SHELL := /bin/bash
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
RUN := $(UV) run --no-sync
PYTHON ?= python3
# A stack is a dozen processes, and tests start hundreds: without bytecode each compiles its libraries anew, seconds of CPU.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test clients check format bench bench-collection bench-service bench-peers torture clean setup

setup: $(UV)
	@$(UV) sync --all-packages --quiet

.tools/bin/uv:
	@$(PYTHON) -m venv .tools
	@.tools/bin/pip install --quiet --disable-pip-version-check uv

demo: setup
	@$(RUN) footlights demo

# Two files at a time: most tests wait for processes that start, die and come back. `tests/conftest.py` says in which order.
test: setup
	$(RUN) pytest -n 2 --dist loadfile --no-loadscope-reorder --ignore=tests/clients

# Other people's clients, unmodified: they need Go, a JDK with Maven, Node.js and Chromium, and are skipped where one is absent.
clients: setup
	$(RUN) pytest -n 2 --dist loadfile tests/clients

check: setup
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) mypy
	$(RUN) lint-imports

format: setup
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

bench: setup
	$(RUN) python -m benchmarks

bench-collection: setup
	$(RUN) python -m benchmarks.collection

bench-service: setup
	$(RUN) python -m benchmarks.service

bench-peers: setup
	$(RUN) python -m benchmarks.peer_runs

torture: setup
	$(RUN) python -m tests.torture

clean:
	rm -rf .tools .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

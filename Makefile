# Needs Python 3.11 or newer and make; uv is fetched into $(TOOLS) where it is missing.

TOOLS ?= $(HOME)/.cache/cloche-tools
PYTHON ?= python3
UV := $(or $(shell command -v uv 2>/dev/null),$(TOOLS)/bin/uv)
RUN := $(UV) run --frozen --no-sync
# Tests that start real servers: one group at a time, so that none of them starves another.
SERVERS := $(wildcard tests/local tests/models tests/contract tests/conformance)
PYTEST := $(RUN) pytest

# Where this is set nothing keeps its bytecode, and each command is compiled anew at every start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test lint units servers conformance docs bench-serving bench-deploy sync clean

help:
	@echo "make demo           a model from a registry to verified answers, on this machine"
	@echo "make test           everything that CI runs: lint, units, real servers"
	@echo "make lint           ruff, mypy, import arrows"
	@echo "make units          tests that start no server"
	@echo "make servers        tests against real Triton, Envoy and MLflow"
	@echo "make conformance    ONNX's whole backend suite on real Triton; writes docs/conformance.md"
	@echo "make docs           write the generated reference pages anew"
	@echo "make bench-serving  requests per second and latency beside other servers"
	@echo "make bench-deploy   from a file to the first verified answer"

demo: sync
	@$(RUN) cloche demo $(ARGS)

test: lint units servers

lint: sync
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) lint-imports

units: sync
	$(PYTEST) -n 2 --dist loadfile $(addprefix --ignore=,$(SERVERS)) tests

servers: sync
	@set -e; for group in $(SERVERS); do $(PYTEST) $$group; done

conformance: sync
	PYTHONPATH=tests $(RUN) python tests/conformance/report.py

docs: sync
	$(RUN) python docs/generate.py

bench-serving: sync
	$(RUN) python -m bench.serving $(ARGS)

bench-deploy: sync
	$(RUN) python -m bench.deploy $(ARGS)

sync: $(UV)
	@$(UV) sync --frozen --quiet

$(TOOLS)/bin/uv:
	$(PYTHON) .ci/get_uv.py $(TOOLS)

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build

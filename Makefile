# What README.md and CONTRIBUTING.md name. Every target sets up its own environment in .venv first; a second call finds it ready.
# On a machine with Python 3.11, git and make nothing else is needed; the network is used for the package registry only.

PYTHON ?= python3.11
BIN    := .venv/bin
READY  := .venv/.installed

# Threads are chosen, never left to chance: on cores that are shared, two OpenMP threads that wait for each
# other by spinning can be 10-30 times slower than one. Tests run on one. The demo trains in two processes of
# one thread, each with half of every batch: 1.3 times the speed of one process, where two threads bring 1.1.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
CORES      := $(shell env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc 2>/dev/null || echo 1)
DEMO_WORDS ?= $(if $(filter 1,$(CORES)),,strategy=ddp data.batch_size=16 trainer.accelerator=cpu)

# Test files side by side; each worker holds torch, so at most four of them.
WORKERS ?= $(shell echo $$(( $(CORES) < 4 ? $(CORES) : 4 )))
PYTEST  := $(ONE_THREAD) $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

# Nothing here asks a model hub or a version server for anything.
export HF_HUB_OFFLINE := 1
export NO_ALBUMENTATIONS_UPDATE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo test test-all lint bench clean
.DELETE_ON_ERROR:

help:
	@echo "make demo      train, score and show the whole thing on synthetic faces"
	@echo "make test      the default tests (at most 10 minutes)"
	@echo "make test-all  also the slow tests, with coverage (at most 60 minutes)"
	@echo "make lint      ruff and mypy --strict"
	@echo "make bench     the benchmarks, small (at most 15 minutes)"
	@echo "make clean     remove caches and .venv; runs/ and data/ stay"

# torch is named on the install line, so that a newer build is never drawn in by another package's range.
$(READY): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11) and "AU-LLaVA needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt torch==2.13.0 -e '.[dev]'
	@touch $@

demo: $(READY)
	$(ONE_THREAD) $(BIN)/aullava demo $(DEMO_WORDS)

test: $(READY)
	$(PYTEST)

# The report of pytest-cov holds both packages together to fail_under; the two lines after it hold each alone.
test-all: $(READY)
	$(PYTEST) -m 'slow or not slow' --durations=15 --cov --cov-report=term
	$(BIN)/python -m coverage report --include='aullava/*' --format=total
	$(BIN)/python -m coverage report --include='datamodules/*' --format=total

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(READY)
	@set -e; for script in $(wildcard benchmarks/*.py); do \
	  echo "== $$script"; $(ONE_THREAD) $(BIN)/python $$script --small; done

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .coverage .coverage.* htmlcov
	find aullava datamodules tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

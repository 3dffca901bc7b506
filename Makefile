# DermAI. `make run` starts it, `make test` checks it; `make help` lists the rest.
# Everything happens in .venv, which the first command makes. Nothing needs root.

SHELL := /bin/sh
VENV := .venv/bin
# The tests need Chromium for the browser part; another place: make test CHROMIUM=/path
CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)
export CHROMIUM
# Two cores are the smallest machine: more threads than that only slow the tests down.
TEST_ENV := OMP_NUM_THREADS=2 PYTHONDONTWRITEBYTECODE=1

.PHONY: help run install dev test check lint format types migrations deploycheck \
	pytest evidence audit train-smoke notebook screenshots recording lock clean

help:
	@echo "make run          start everything on http://localhost:8000 (PORT=, DERMAI_HOME=)"
	@echo "make test         lint, types, unit, integration and browser tests"
	@echo "make lint         ruff and semgrep, as make test does it   make types    mypy --strict"
	@echo "make format       put the code into shape         make lock     renew deploy/constraints.txt"
	@echo "make evidence     the long proofs                 make screenshots  pictures of every page"
	@echo "make recording    the README's animated picture, by a browser"
	@echo "make audit        known vulnerabilities in dependencies, insecure code in ours"
	@echo "make train-smoke  every line of every recipe on a few small images"
	@echo "make notebook     run docs/notebooks from top to bottom (DERMAI_DATA= to judge anew)"

run: install
	@exec $(VENV)/python -m dermai.embedded

install:
	@python=$$(PYTHON="$(PYTHON)" deploy/find-python) && "$$python" deploy/bootstrap.py

dev:
	@python=$$(PYTHON="$(PYTHON)" deploy/find-python) && "$$python" deploy/bootstrap.py --dev

# PART=services leaves out what has neither database nor broker: for a second run on PostgreSQL and
# Redis, when the first has done the rest.
ifeq ($(PART),services)
test: dev
	@echo "== PART=services: without lint, types and the tests of inference_worker/, training/,"
	@echo "   benchmarks/ and architecture/, which touch neither database nor broker."
	@$(MAKE) --no-print-directory migrations
	@$(MAKE) --no-print-directory pytest PYTEST_ARGS="--ignore=tests/inference_worker \
		--ignore=tests/training --ignore=tests/benchmarks --ignore=tests/architecture $(PYTEST_ARGS)"
else
test: dev
	@$(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory pytest
endif

check: lint types migrations deploycheck

lint: dev
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	deploy/semgrep/run

format: dev
	$(VENV)/ruff format .
	$(VENV)/ruff check --fix .

types: dev
	$(VENV)/mypy

migrations: dev
	$(VENV)/python manage.py makemigrations --check --dry-run

deploycheck: dev
	@deploy/check-production

# Much of a test is waiting for real processes: two at a time, of different files, fill two cores.
PROCESSES ?= 2
pytest: dev
	@# A worker that dies is a failure at once: replaced, it can leave the run waiting for ever.
	@OMP_NUM_THREADS=1 deploy/run-pytest -n $(PROCESSES) --dist loadfile --max-worker-restart=0 $(PYTEST_ARGS)

evidence: dev
	$(TEST_ENV) $(VENV)/python -m pytest -m evidence --timeout=3600 $(PYTEST_ARGS)

audit: dev
	@deploy/audit

# convnext_base_faithful differs from convnext_base in its head alone, which tests/training fits small.
RECIPES ?= mobilenetv2 efficientnet_b3 resnet50 unet_efficientnet starter convnext_base
train-smoke: dev
	$(TEST_ENV) $(VENV)/python -m training smoke $(RECIPES)

# The committed notebook has no outputs; the one that was run lies in var/.
notebook: dev
	@mkdir -p var
	PYTHONPATH="$(CURDIR)" $(TEST_ENV) $(VENV)/jupyter-execute docs/notebooks/evaluation.ipynb \
		--output "$(CURDIR)/var/evaluation.ipynb"

screenshots: dev
	$(TEST_ENV) $(VENV)/python -m tests.e2e.screenshots

recording: dev
	$(TEST_ENV) $(VENV)/python -m tests.e2e.recording

lock: dev
	@deploy/lock $(VENV)

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

# Every command sets up what it needs: uv in .tools/, and Python 3.10 with the locked packages in
# .venv/. Nothing outside this folder changes, except uv's download cache.

.SHELLFLAGS := -eu -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help setup doctor train train-all-cores test test-full test-gpu benchmark lint format gallery explorer lock tensorboard clean

PYTHON ?= python3
PY310 ?= 3.10
LOGDIR ?= outputs
PORT ?= 8501
ARGS ?=

UV := .tools/uv/bin/uv
BIN := .venv/bin
READY := .venv/.ready
# `make` must not expand a ${...} that belongs to Hydra.
args = $(value ARGS)

help: ## list the commands
	@echo 'Usage: make COMMAND [ARGS="..."]      make test ARGS="-k resume"'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-15s %s\n", $$1, $$2}' Makefile
	@echo 'Settings: PY310=/path/to/python3.10 PYTHON=python3 LOGDIR=outputs PORT=8501'

setup: $(READY) ## make the environment in .venv (other commands do it too)
	@echo 'Ready. Next: make train'

doctor: ## check this machine, with any Python
	@python=$(BIN)/python; "$$python" -c '' 2>/dev/null || python='$(PYTHON)'; \
	"$$python" -m scripts.doctor $(args)

train: $(READY) ## train; without ARGS experiment=quickstart, about a minute
	@$(BIN)/python train.py $(or $(args),experiment=quickstart)

train-all-cores: $(READY) ## train with one process per core (docs/distributed.md)
	@OMP_NUM_THREADS=1 GLOG_minloglevel=3 $(BIN)/python -m oneflow.distributed.launch \
	  --nproc_per_node "$$(nproc)" train.py $(or $(args),experiment=quickstart)

test: $(READY) ## run the tests, on all cores
	@$(BIN)/python -m pytest -q -n auto --dist loadfile $(args)

test-full: $(READY) ## run all tests, the long ones too (an hour)
	@$(BIN)/python -m pytest -q -n auto --dist loadfile -m 'full or not full' $(args)

test-gpu: $(READY) ## run the tests that need a GPU; prints a table at the end
	@$(BIN)/python -m pytest -q tests/gpu $(args)

benchmark: $(READY) ## measure what the harness costs (ten minutes)
	@$(BIN)/python -m scripts.benchmark $(args)

lint: $(READY) ## check style, types and the Dockerfile
	@failed=; check() { name=$$1; shift; "$$@" || failed="$$failed, $$name"; }; \
	check 'ruff check' $(BIN)/ruff check --quiet .; \
	check 'ruff format (run make format)' $(BIN)/ruff format --quiet --check .; \
	check mypy $(BIN)/python -m mypy --no-error-summary; \
	check hadolint $(BIN)/hadolint Dockerfile; \
	test -z "$$failed" || { echo "lint failed:$${failed#,}" >&2; exit 1; }; \
	echo 'lint: clean'

format: $(READY) ## format the code with ruff
	@$(BIN)/ruff check --quiet --fix-only . && $(BIN)/ruff format --quiet .

gallery: $(READY) ## draw every schedule into docs/schedules
	@$(BIN)/python -m scripts.preview preview.gallery=true $(args)

explorer: $(READY) ## serve the page of schedules on 127.0.0.1:PORT
	@$(BIN)/python -m scripts.explorer --port '$(PORT)' $(args)

lock: .tools/.ready ## renew requirements.txt from pyproject.toml
	@$(UV) pip compile --quiet pyproject.toml --all-extras --generate-hashes \
	  --python-version 3.10 --build-constraints build-constraints.txt \
	  --custom-compile-command 'make lock' --output-file requirements.txt $(args)

tensorboard: $(READY) ## show the runs in LOGDIR on 127.0.0.1
	@test -d '$(LOGDIR)' || { echo 'There is no folder $(LOGDIR) yet: run make train first, or' \
	  'name another with LOGDIR=multirun.' >&2; exit 1; }
	@$(BIN)/python -W ignore -m tensorboard.main --logdir '$(LOGDIR)' --host 127.0.0.1 $(args)

clean: ## remove .venv, .tools and caches; keep runs and data
	@rm -rf .venv .tools .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The files .ready are made last, so the next command repeats an interrupted set-up.

.tools/.ready: requirements-uv.txt
	@test "$$(uname -sm)" = 'Linux x86_64' || { echo 'OneFlow 0.9.0 exists for Linux on x86-64' \
	  "only; this is $$(uname -sm)." >&2; exit 1; }
	@echo 'Set-up 1/2: uv, the installer, into .tools (about 25 MB, some seconds)'
	@rm -rf .tools && mkdir .tools
	@python='$(PYTHON)'; "$$python" -m pip --version >/dev/null 2>&1 || { \
	  "$$python" -m venv .tools/pip && python=.tools/pip/bin/python; } >/dev/null 2>&1 || { \
	  echo 'There is no python3 with pip here: install one (Debian, Ubuntu: apt-get install' \
	  'python3-pip), or name one with PYTHON=/path/to/python3.' >&2; exit 1; }; \
	PIP_USER=0 "$$python" -m pip install -qq --disable-pip-version-check --no-deps \
	  --only-binary :all: --ignore-requires-python --require-hashes --target .tools/uv \
	  -r requirements-uv.txt || { echo 'pip could not fetch uv: it needs a network and pip 20' \
	  'or newer.' >&2; exit 1; }
	@touch $@

$(READY): .tools/.ready requirements.txt build-constraints.txt .python-version
	@test -e $@ || $(UV) venv --quiet --clear --python '$(PY310)' .venv || { echo 'uv found no' \
	  'Python 3.10 and could not download one: install it, then name it with' \
	  'PY310=/path/to/python3.10.' >&2; exit 1; }
	@rm -f $@
	@echo 'Set-up 2/2: Python 3.10 and the locked packages, into .venv (about 2 GB to download,' \
	  '4.3 GB on disk)'
	@quiet=--quiet; test ! -t 2 || quiet=; \
	$(UV) pip sync $$quiet --python $(BIN)/python --require-hashes \
	  --build-constraints build-constraints.txt requirements.txt
	@touch $@

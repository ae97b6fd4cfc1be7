# make book · make test · make unit · make lint · make serve · make reseed · make clean
# (make help lists the options)

SHELL   := /bin/bash
PROFILE ?= quick
JOBS    ?= 2
PORT    ?= 8000
SEEDS   ?= 5
TIMEOUT ?=
DATA    ?= fetch
VENV    ?= .venv
PY      := $(VENV)/bin/python
READY   := $(VENV)/.installed
# A third of the tests' time is waiting, for a browser, a kernel or a limit.
PYTEST   = $(PY) -m pytest -n $$(($(JOBS) + 1)) --dist worksteal
SUITABLE := import sys; sys.exit(sys.version_info < (3, 11))

export TIMEOUT
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Each of some hundred processes would compile the library anew.
unexport PYTHONDONTWRITEBYTECODE
# Processes share the cores: more threads in each, unless somebody asks, would wait for each other.
export OPENBLAS_NUM_THREADS ?= 1
export OMP_NUM_THREADS ?= 1
export MKL_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help book test unit lint reseed serve clean distclean install moved

help:
	@echo "make book   [PROFILE=smoke|quick|full] [JOBS=2] [TIMEOUT=seconds] [DATA=none]"
	@echo "                           fetch the data it needs, execute and build the book"
	@echo "make serve  [PORT=8000]    show it at http://127.0.0.1:8000"
	@echo "make test                  lint, every notebook in the smoke profile, the book, all tests"
	@echo "make unit                  the tests that need no built book and start no build, sweep or wheel"
	@echo "make lint                  ruff on code and notebooks, mypy, import-linter"
	@echo "make reseed [SEEDS=5] [PROFILE=smoke|quick]   the claims at other seeds"
	@echo "make clean                 remove what was built   (make distclean: and $(VENV))"
	@echo "PYTHON=/path/to/python3    the Python (>= 3.11) that $(VENV) is made with"

book: $(READY)
	@PROFILE=$(PROFILE) DATA=$(DATA) $(PY) -m doit -n $(JOBS) book

# Every stage runs even when an earlier one failed, and pytest's closing line comes last.
test: $(READY)
	@failed=""; \
	echo "== lint"; $(MAKE) --no-print-directory lint || failed="$$failed lint"; \
	echo "== every notebook in the smoke profile, and the book from clean"; \
	rm -rf _build/smoke/html _build/smoke/sphinx; \
	smoke=built; PROFILE=smoke DATA=none $(PY) -m doit -n $(JOBS) html || { failed="$$failed book"; smoke=failed; }; \
	echo "== tests"; \
	W2S_SMOKE=$$smoke $(PYTEST) || failed="$$failed tests"; \
	if [ -n "$$failed" ]; then echo "make test: FAILED:$$failed"; exit 1; fi

unit: $(READY)
	@$(PYTEST) -m "not site and not slow"

lint: $(READY)
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@PATH="$(VENV)/bin:$$PATH" $(PY) -m nbqa "ruff check" $$(find notebooks -name '*.md')
	@$(PY) -m mypy
	@$(PY) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'

# Smoke unless another profile is asked for: quick takes some minutes a seed.
reseed: $(READY)
	@$(PY) benchmarks/reseed.py --seeds $(SEEDS) --jobs $(JOBS) --profile $(if $(filter file,$(origin PROFILE)),smoke,$(PROFILE))

serve: $(READY)
	@test -e _build/html/index.html || { echo "nothing to serve yet: run make book first"; exit 1; }
	@echo "http://127.0.0.1:$(PORT)   (stop with Ctrl-C)"
	@$(PY) -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html

clean:
	rm -rf _build .pytest_cache .ruff_cache .hypothesis

distclean: clean
	rm -rf $(VENV) *.egg-info

install: $(READY)

# The scripts in an environment name its folder, so they are dead once it has been moved or copied:
# the old name is replaced by the new one wherever it is.
OLD := $(shell sed -nE '1,2s|^[^/]*(/.*)/bin/python.*|\1|p' $(VENV)/bin/w2s 2>/dev/null | head -1)
NEW := $(abspath $(VENV))
$(READY): | moved
moved:
ifneq ($(OLD),$(if $(OLD),$(NEW)))
	@echo "$(VENV) was made at $(OLD): mending the paths in it ..."
	@old=$$(dirname "$(OLD)"); new=$$(dirname "$(NEW)"); \
	grep -rlIF "$$old" $(VENV)/bin $(VENV)/pyvenv.cfg \
	  $$(find $(VENV) -path '*/site-packages/*' \( -name '__editable__*' -o -name direct_url.json \)) \
	  | xargs sed -i "s|$$old|$$new|g"
else
	@:
endif

# The environment is made anew from the pins when they change, and only then.
$(READY): requirements.lock pyproject.toml
	@python="$(PYTHON)"; \
	for candidate in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	  if [ -z "$$python" ] && "$$candidate" -c '$(SUITABLE)' 2>/dev/null; then python=$$candidate; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "error: no Python >= 3.11 found; install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3"; \
	  exit 1; \
	fi; \
	if ! "$$python" -c '$(SUITABLE)' 2>/dev/null; then \
	  echo "error: $$python is $$("$$python" --version 2>&1 || true); Python >= 3.11 is needed"; exit 1; \
	fi; \
	if ! "$$python" -c 'import venv, ensurepip' 2>/dev/null; then \
	  echo "error: $$python cannot make virtual environments; on Debian or Ubuntu install python3-venv"; \
	  exit 1; \
	fi; \
	echo "installing the pinned dependencies into $(VENV) ($$("$$python" --version)) ..."; \
	if ! $(PY) -c '$(SUITABLE)' 2>/dev/null; then "$$python" -m venv --clear $(VENV); fi
	@$(PY) -m pip install -qq --no-deps -r requirements.lock
	@$(PY) -m pip install -qq --no-deps -e .
	@touch $@


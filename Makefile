# Ten verbs, the same for people and for CI. `make` alone prints them.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup up down fast test proof bench lint docs

# The newest Python that is here and at least 3.11; PYTHON=... chooses another.
PYTHON ?= $(shell for name in python3.13 python3.12 python3.11 python3 python; do \
	command -v $$name >/dev/null 2>&1 && $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
VENV := .venv
BIN := $(VENV)/bin
# In several processes: pure tests on all cores, those that need services in two. tests/conftest.py says which stay together.
PROCESSES = 2
TESTS = $(BIN)/python -m pytest -n $(PROCESSES) --dist loadscope --no-loadscope-reorder --durations=20
PIP := $(BIN)/python -m pip --disable-pip-version-check
# The environment of `make up ENV=name`; a variable ENV of the shell means something else and is not read.
FILE := examples/$(if $(filter command line,$(origin ENV)),$(ENV),local).yaml

# A checkout that was moved or copied has scripts that point elsewhere: it is set up again.
ifneq ($(file < $(VENV)/.home),$(CURDIR))
$(shell rm -f $(VENV)/.runtime $(VENV)/.dev)
endif

help: ## print this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 16

setup: $(VENV)/.runtime ## make .venv with .venv/bin/cortops, from the hashed lock file

up: $(VENV)/.runtime ## start the environment on this machine (ENV=name: examples/name.yaml)
	@$(BIN)/cortops up $(FILE)

down: $(VENV)/.runtime ## stop it; data stays
	@$(BIN)/cortops down $(FILE)

fast: PROCESSES = auto
fast: $(VENV)/.dev ## pure tests: no services, no waiting
	@$(TESTS) -m "not real and not proof"

test: $(VENV)/.dev ## everything but the proofs: real chain, model, nginx, supervisord
	@$(TESTS) -m "not proof"

proof: $(VENV)/.dev ## the long ones: kill points, simulations, a fresh clone
	@$(TESTS) -m proof

bench: $(VENV)/.dev ## measure (ONLY=name: benchmarks/name.py alone)
	@set -e; for name in $(or $(ONLY),$(filter-out harness __init__,$(basename $(notdir $(wildcard benchmarks/*.py))))); do \
		$(BIN)/python -m benchmarks.$$name; done

lint: $(VENV)/.dev ## ruff, mypy, import rule
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

docs: $(VENV)/.dev ## write the generated reference pages again
	@$(BIN)/python docs/generate.py

# A stamp says that a set is complete. `.unfinished` is there while packages are written: found later, somebody was interrupted, so we start over.
$(VENV)/.runtime: requirements/lock.txt pyproject.toml
	@$(call install,requirements/lock.txt)
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.runtime
	@$(call install,requirements/dev.txt)
	@touch $@

define install
py="$(PYTHON)"; \
if [ -z "$$py" ]; then \
	echo "error: cortops needs Python 3.11 or newer, and none is on PATH." >&2; \
	echo "  next: apt-get install python3 python3-venv   (Debian 12 and later), or: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 2; fi; \
if ! "$$py" -c 'import venv, ensurepip' 2>/dev/null; then \
	echo "error: $$py cannot make a virtual environment: its venv module is a package of its own." >&2; \
	echo "  next: apt-get install $${py##*/}-venv   (Debian and Ubuntu), then the same command again" >&2; exit 2; fi; \
if [ -e $(VENV)/.unfinished ] || [ "$$(cat $(VENV)/.home 2>/dev/null)" != '$(CURDIR)' ]; then \
	echo "setup: $(VENV) with $$("$$py" --version)"; "$$py" -m venv --clear $(VENV) && echo '$(CURDIR)' > $(VENV)/.home; fi && \
touch $(VENV)/.unfinished && rm -f $(VENV)/.pip.log && \
echo "setup: $(1) (checked by hash)" && \
$(PIP) install --log $(VENV)/.pip.log --no-deps --require-hashes -r $(1) && \
$(PIP) install --quiet --no-deps --no-index --no-build-isolation --editable . && \
rm -f $(VENV)/.unfinished || { \
	grep -qF 'Installing collected packages' $(VENV)/.pip.log 2>/dev/null || rm -f $(VENV)/.unfinished; \
	echo "error: the packages of $(1) could not be installed; the reason stands above." >&2; \
	echo "  next: connect to the network once, then the same command again (what was fetched is kept)" >&2; exit 1; }
endef

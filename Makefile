# Machine with only Python: everything happens in .venv. On a robot with ROS 2: colcon build (README).
SHELL := /bin/bash
VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
# Test files at a time, each on one thread: sums over more of them differ in the last digit when cores are scarce.
# Files with nodes wait for them most of the time and come in turn with those that compute (test/conftest.py).
WORKERS ?= 3

# Many containers set it. Each process would compile the thousand files of torch anew, which is half of the time that a
# node takes to start.
unexport PYTHONDONTWRITEBYTECODE

# ROS 2 comes from .venv: nothing of another install may reach what is started here.
ROS_ENV := env -u PYTHONPATH -u LD_LIBRARY_PATH -u _ROS_WHEELS_BOOTSTRAP_COMPLETE AMENT_PREFIX_PATH=$(VENV) \
	PATH="$(BIN):$$PATH" \
	FASTDDS_DEFAULT_PROFILES_FILE=$${FASTDDS_DEFAULT_PROFILES_FILE:-$(CURDIR)/config/fastdds_shared_memory.xml}
# Killed processes leave shared memory segments behind; those of running ones are kept.
TIDY := $(ROS_ENV) fastdds shm clean > /dev/null 2>&1 || true

.PHONY: help setup demo demo-finetune test lint clean

help:
	@echo "make setup                 ROS 2, this package and its tools into .venv (about a minute the first time)"
	@echo "make demo [SEQUENCE=...]   a generated room, or a recorded sequence, through the real node; report in out/demo"
	@echo "                           (a recording's depth is used; DEPTH=0 leaves it out)"
	@echo "make demo VIEW=1           the same, then fly through it in a browser, until Ctrl-C (PORT=8080)"
	@echo "make demo-finetune         the node learns a generated room in minutes; report in out/finetune"
	@echo "make test [ARGS=...]       lint, spelling, types, layers, all tests (WORKERS=0: one after the other)"
	@echo "make lint                  the first four of these"
	@echo "make clean                 remove .venv, build and caches"

setup:
	@python3 scripts/setup_venv.py

demo: setup
	@$(ROS_ENV) ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST python scripts/demo.py --output $(or $(OUTPUT),out/demo) \
		$(if $(SEQUENCE),--sequence "$(SEQUENCE)") $(if $(filter 0,$(DEPTH)),--no-depth) \
		$(if $(VIEW),--view --view-port $(or $(PORT),8080)); code=$$?; $(TIDY); exit $$code

demo-finetune: setup
	@$(ROS_ENV) ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST python scripts/demo_finetune.py \
		--output $(or $(OUTPUT),out/finetune); code=$$?; $(TIDY); exit $$code

lint: setup
	@$(ROS_ENV) ruff check .
	@$(ROS_ENV) ruff format --check .
	@$(ROS_ENV) codespell
	@$(ROS_ENV) mypy
	@$(ROS_ENV) lint-imports

test: lint
	@$(ROS_ENV) OMP_NUM_THREADS=1 ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS); code=$$?; $(TIDY); exit $$code

clean:
	rm -rf .venv build install log .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info

# Everything a newcomer types. PYTHON chooses the interpreter the environment is made with.
PYTHON ?= python3
BIN := .venv/bin
MARK := .venv/.installed

.PHONY: install quickstart check test faults browser table1 report speed test-slurm test-ray \
	test-export clean

install: $(MARK)

$(MARK): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $(MARK)

quickstart: install
	$(BIN)/python -m nstbench suite=quickstart

# The contracts between the rooms, which are typed; the rest is not checked.
CONTRACTS := nstbench/optimizers/contract.py nstbench/optimizers/minimise.py \
	nstbench/engine/base.py nstbench/engine/__init__.py nstbench/transfer/terms.py \
	nstbench/transfer/objective.py nstbench/transfer/problem.py nstbench/outside.py \
	nstbench/settings $(filter-out nstbench/run/lock.py,$(wildcard nstbench/run/*.py))

# By whole files, in the order that tests/conftest.py gives them.
SHARED := -n 2 --dist loadscope --no-loadscope-reorder

check: install
	$(BIN)/ruff format --check nstbench tests
	$(BIN)/ruff check nstbench tests
	$(BIN)/mypy $(CONTRACTS)
	$(BIN)/python -m pytest $(SHARED) -m "not slow and not browser"

test: install
	$(BIN)/python -m pytest $(SHARED)

# Broken on purpose: kills, full disks, odd files, signals; minutes.
faults: install
	$(BIN)/python -m pytest tests/faults.py

# The page in a Chromium at every width and colour scheme, and one of a thousand runs.
browser: install
	$(BIN)/python -m pytest -m browser

table1: install
	@echo 'Ten rows at 256 pixels, one after the other: half an hour or more on two cores. A small one,'
	@echo 'in minutes: $(BIN)/python -m nstbench suite=table1 size=64 epochs_scale=0.02'
	$(BIN)/python -m nstbench suite=table1
	$(BIN)/python -m nstbench.report

report: install
	$(BIN)/python -m nstbench.report

speed: install
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --editable '.[speed]'
	$(BIN)/python -m nstbench.speed

test-slurm: install
	$(BIN)/python -m pip install --quiet --editable '.[slurm]'
	$(BIN)/python -m pytest tests/engines/slurm.py

test-ray: install
	$(BIN)/python -m pip install --quiet --editable '.[ray]'
	$(BIN)/python -m pytest tests/engines/ray_engine.py

test-export: install
	$(BIN)/python -m pip install --quiet --editable '.[tensorboard,mlflow,wandb,trackio]'
	$(BIN)/python -m pytest tests/engines/trackers.py

clean:
	rm -rf .venv build dist

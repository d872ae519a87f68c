# Everything a newcomer types. PYTHON chooses the interpreter the environment is made with.
PYTHON ?= python3
BIN := .venv/bin
MARK := .venv/.installed

.PHONY: install quickstart test table1 report speed test-slurm test-ray clean

install: $(MARK)

$(MARK): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $(MARK)

quickstart: install
	$(BIN)/python -m nstbench suite=quickstart

test: install
	$(BIN)/python -m pytest -n 2 --dist loadfile

table1: install
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

clean:
	rm -rf .venv build dist

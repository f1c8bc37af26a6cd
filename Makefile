# make run    the main job on the CPU: train, export, check, bench, report
# make test   ruff, mypy and pytest
# make clean  removes what the two made
.POSIX:
.PHONY: run test clean

PYTHON = python3
BIN = .venv/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

run: .venv/run.stamp
	$(BIN)/toolkit run

test: .venv/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest --numprocesses 2 --dist loadscope $(PYTEST)

.venv/run.stamp: setup.cfg pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) --editable '.[cpu]'
	touch $@

.venv/test.stamp: .venv/run.stamp
	$(PIP) --editable '.[cpu,test]'
	touch $@

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# make run        the main job on the CPU: train, export, check, bench, report
# make test       ruff, mypy and pytest
# make check      ruff, mypy and the quick tests, in under a minute: no process, no export, no
#                 operators case by case, no large model
# make test-slow  the tests marked slow: minutes, or a heavy download each
# make test-oldest  the tests of what depends on versions, with the lower bounds of setup.cfg;
#                 by hand, and PYTHON=python3.13 chooses the Python
# make test-newest  the same with the newest that pip resolves today
# make format     what ruff can mend by itself
# make docs       the site of the documentation: docs/_build/html/index.html
# make locks      the lock files of the runtimes' environments, compiled anew from their pins;
#                 LOCKS=--upgrade takes the newest of what the pins leave open, LOCKS=iree one alone
# make assets     the code of Vega that pages carry, bundled anew: after vl-convert's pin moved
# make build      the sdist and the wheel: dist/
# make clean      removes what they made
.POSIX:
.PHONY: run test check test-slow test-oldest test-newest format docs locks assets build clean

PYTHON = python3
BIN = .venv/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
# Three on two cores: some tests wait, for a deadline or for a browser.
PARALLEL = --numprocesses 3 --dist loadscope
# The quick ones never wait; each process imports torch and collects all tests for itself.
QUICK = --numprocesses 2 --dist loadscope
# Tests start thousands of processes. Where the environment forbids Python to keep compiled code,
# each of them would compile all of toolkit anew, a third of a second of the processor.
RUN_TESTS = PYTHONDONTWRITEBYTECODE= $(BIN)/pytest
# What needs an installation anew; __init__.py holds the version.
SETUP = setup.cfg pyproject.toml constraints.txt toolkit/__init__.py

run: .venv/run.stamp
	$(BIN)/toolkit run

test: .venv/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(RUN_TESTS) $(PARALLEL) $(PYTEST)

check: .venv/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(RUN_TESTS) $(QUICK) -m "not process and not export and not kernels and not large and not slow" $(PYTEST)

test-slow: .venv/test.stamp
	$(RUN_TESTS) -m slow $(PYTEST)

# In an environment that is thrown away; torch for CUDA needs 10 GB in TMPDIR until then.
test-oldest:
	$(PYTHON) tests/throwaway.py oldest $(PYTEST)

test-newest:
	$(PYTHON) tests/throwaway.py newest $(PYTEST)

format: .venv/test.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/test.stamp
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --nitpicky --fresh-env \
		docs docs/_build/html

locks: .venv/test.stamp
	$(PIP) --editable '.[cpu,test,locks]'
	$(BIN)/python -m tests.compilelocks $(LOCKS)

assets: .venv/test.stamp
	$(BIN)/python -m tests.bundlevega

# Without isolation: with the pinned setuptools, and without a network.
build: .venv/test.stamp
	rm -rf build dist
	$(BIN)/python -m build --no-isolation

.venv/run.stamp: $(SETUP)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) --editable '.[cpu]'
	touch $@

.venv/test.stamp: .venv/run.stamp
	$(PIP) --editable '.[cpu,test]'
	touch $@

clean:
	rm -rf .venv build dist docs/_build *.egg-info .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

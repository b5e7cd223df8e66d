# One environment in .venv, made from the locked versions; nothing else on the machine is touched.
# Another one, such as the container image's, is taken as it is: make run VENV=/opt/goa
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Stages call python, which a machine need not have by that name.
export PATH := $(abspath $(BIN)):$(PATH)
# What `make bench` writes with and learns from: make bench POLICY=folder DATA="sources.gz references.gz"
POLICY ?= out/policies/mle
DATA ?= out/data
# What `make mutants` breaks: make mutants MODULES="goa/objectives/grpo.py goa/evaluators/bleu.py"
MODULES ?= $(wildcard goa/objectives/[a-z]*.py)
# pip would compile all of torch and MLflow, for minutes; what is used is compiled when it is first
# imported, and kept, for which this must not be set.
unexport PYTHONDONTWRITEBYTECODE
# Of an editable installation, which this is meant to be, setuptools warns at length.
INSTALL := PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check \
  -c requirements.lock

.PHONY: run serve test test-long fuzz mutants coverage docs bench system check format lock licences audit clean

run: $(VENV)/run  ## the whole graph on the corpus that params.yaml names
	$(BIN)/goa run

serve: $(VENV)/run  ## Prefect's server, a worker and MLflow's server, on loopback; Ctrl-C ends them
	$(BIN)/goa serve

test: $(VENV)/dev system  ## what CI runs
	$(BIN)/python -m pytest -n auto --dist loadgroup -m "not long"

test-long: fuzz  ## the tests that take minutes
	$(BIN)/python -m pytest -m long

fuzz: $(VENV)/dev  ## as tests/fuzzing does in `make test`, with GOA_FUZZ times as many cases, new ones each time
	GOA_FUZZ=$${GOA_FUZZ:-40} $(BIN)/python -m pytest tests/fuzzing

coverage: $(VENV)/dev system  ## the lines that no test runs, those in processes that tests start included
	$(BIN)/python -m pytest -n auto --dist loadgroup -m "not long" --cov --cov-report=term

mutants: $(VENV)/dev  ## MODULES broken in small ways, one at a time: what do their tests not notice? Minutes
	$(BIN)/python -m tests.mutants $(MODULES)

docs: $(VENV)/dev  ## the pages of docs/ as a site in docs/_build, with the reference; a warning is an error
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -b html docs docs/_build
	@echo docs/_build/index.html

bench: $(VENV)/bench $(POLICY)  ## goa against its peers, the short set: minutes, on an idle machine
	$(BIN)/python benchmarks/decode.py $(POLICY) $(DATA) --json out/benchmarks/decode.json
	$(BIN)/python benchmarks/decode.py $(POLICY) $(DATA) --beam 4 --json out/benchmarks/beam.json
	$(BIN)/python benchmarks/rounds.py $(POLICY) $(DATA) --repeats 3 --json out/benchmarks/rounds.json
	$(BIN)/python benchmarks/grpo.py $(DATA) --repeats 3 --json out/benchmarks/grpo.json
	$(BIN)/python benchmarks/pretraining.py $(DATA) --updates 8 --repeats 3 \
	  --json out/benchmarks/pretraining.json
	$(BIN)/python benchmarks/significance.py $(DATA) --repeats 3 \
	  --json out/benchmarks/significance.json
	$(BIN)/python benchmarks/growth.py $(POLICY) $(DATA) --repeats 2 --json out/benchmarks/growth.json
	$(BIN)/python benchmarks/techniques.py $(POLICY) $(DATA) --repeats 2 \
	  --json out/benchmarks/techniques.json

out/policies/mle: | $(VENV)/run  # as `make run` makes it, by the stages that it takes
	$(BIN)/goa run pretrain

system:  ## Debian packages that tests use, where root and apt can get them; else those tests are skipped
	@if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null \
	  && ! dpkg --status $$(cat apt-packages.txt) > /dev/null 2>&1; then \
	  { apt-get update --quiet=2 && DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes \
	      --no-install-recommends $$(cat apt-packages.txt); } \
	  || echo "not installed: $$(cat apt-packages.txt); the tests that use them are skipped"; \
	fi

check: $(VENV)/dev  ## format, lint, types, the import staircase, dead code
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture

format: $(VENV)/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# With the newest pip: the one that Python 3.11 brings takes three times as long to resolve.
.venv/bin/python:
	$(PYTHON) -m venv --upgrade-deps .venv

.venv/run: pyproject.toml requirements.lock | .venv/bin/python
	$(INSTALL) -e .
	touch $@

.venv/dev: pyproject.toml requirements.lock | .venv/bin/python
	$(INSTALL) -e '.[dev]'
	touch $@ .venv/run

.venv/bench: pyproject.toml requirements.lock | .venv/bin/python
	$(INSTALL) -e '.[bench]'
	touch $@ .venv/run

lock:  ## newest versions that pyproject.toml allows, by name and version alone
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet 'torch==2.13.0' -e '.[dev,servers]'
	{ echo '# Made by `make lock`. One torch version: CUDA or CPU build is what the index offers.'; \
	  .venv-lock/bin/python -c 'import platform; print("\# CPython", platform.python_version())'; \
	  .venv-lock/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//'; } > requirements.lock
	rm -rf .venv-lock

licences: $(VENV)/dev  ## docs/licences.md, from the metadata of what is locked
	$(INSTALL) -e '.[servers]'
	$(BIN)/python -m tests.licences

audit:  ## the lock's age, and its packages against known vulnerabilities, of which PyPI is asked
	@git log -1 --format='requirements.lock is of %cs, %cr' -- requirements.lock
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet pip-audit
	.venv-audit/bin/pip-audit --requirement requirements.lock --no-deps --disable-pip --strict; \
	  found=$$?; rm -rf .venv-audit; exit $$found

clean:  ## everything that runs leave behind, but not the environment
	rm -rf out .goa metrics dvc.lock

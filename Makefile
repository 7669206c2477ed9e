# make demo [FOR=20s] [RATE=50]   a served model, load on it and the page, in one command
# make check                      lint, types and the direction of imports
# make test [ARGS="tests/load -k x"] every part once, in minutes; or all tests that ARGS names
# make test-all                   all tests, and then those that need the machine to themselves
# make docs                       the documentation as a site, in build/site
# make proto                      writes down the gRPC interface: numbers of new fields, its .proto
# make lock                       pins the newest versions pyproject.toml allows

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
UV     := $(BIN)/uv pip install --quiet --python $(BIN)/python
FOR    ?=
RATE   ?=
ARGS   ?=
# Where the environment says otherwise, each process of a test would compile all of it anew.
export PYTHONDONTWRITEBYTECODE :=
BESIDE := -n 4 --dist loadfile --no-loadscope-reorder --durations=15

.PHONY: demo test test-all check docs proto lock clean

demo: $(VENV)/.installed
	@exec $(BIN)/tailrace demo $(if $(FOR),--for $(FOR)) $(if $(RATE),--rate $(RATE)) $(ARGS)

test: $(VENV)/.installed-dev
	@$(BIN)/python tools/install_browser.py
	$(BIN)/python -m pytest $(or $(ARGS),-m "(smoke or not slow) and not alone" $(BESIDE))

test-all: $(VENV)/.installed-full
	@$(BIN)/python tools/install_browser.py
	$(BIN)/python -m pytest -m "not alone" $(BESIDE); beside=$$?; \
	    $(BIN)/python -m pytest -m alone && exit $$beside

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Tailrace needs Python 3.11 or newer; this is %d.%d. Try: make PYTHON=python3.11" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

# uv installs in seconds what takes pip minutes.
$(VENV)/.installed-dev: requirements-dev.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet uv
	$(UV) --require-hashes -r requirements-dev.lock
	$(UV) --no-deps --editable .
	@touch $@

$(VENV)/.installed-full: requirements-full.lock $(VENV)/.installed-dev
	$(UV) --require-hashes -r requirements-full.lock
	@touch $@

docs: $(VENV)/.installed-dev
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build
	@echo "file://$(CURDIR)/build/site/index.html"

proto: $(VENV)/.installed-dev
	$(BIN)/python tools/write_proto.py

lock: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -c requirements.lock pyproject.toml --group dev -o requirements-dev.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -c requirements-dev.lock --group full -o requirements-full.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -c requirements.lock --overrides deploy/cuda-overrides.txt pyproject.toml deploy/cuda.in -o deploy/requirements-cuda.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -c requirements-dev.lock pyproject.toml --extra ray -o deploy/requirements-ray.lock

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache

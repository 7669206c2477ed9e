# make demo [FOR=20s] [RATE=50]   a served model, load on it and the page, in one command
# make test [ARGS="tests/load -k x"] installs what the tests need and runs them, or a part
# make check                      lint, types and the direction of imports
# make docs                       the documentation as a site, in build/site
# make proto                      writes down the gRPC interface: numbers of new fields, its .proto
# make lock                       pins the newest versions pyproject.toml allows

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
FOR    ?=
RATE   ?=
ARGS   ?=

.PHONY: demo test check docs proto lock clean

demo: $(VENV)/.installed
	@exec $(BIN)/tailrace demo $(if $(FOR),--for $(FOR)) $(if $(RATE),--rate $(RATE)) $(ARGS)

test: $(VENV)/.installed-dev
	@$(BIN)/python tools/install_browser.py
ifeq ($(ARGS),)
	$(BIN)/python -m pytest -m "not alone" -n 3 --dist loadfile --no-loadscope-reorder --durations=15 || \
	    $(BIN)/python -m pytest -m "not alone" --last-failed --last-failed-no-failures none
	$(BIN)/python -m pytest -m alone || \
	    $(BIN)/python -m pytest -m alone --last-failed --last-failed-no-failures none
else
	$(BIN)/python -m pytest $(ARGS)
endif

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

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.lock
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
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -c requirements.lock --overrides deploy/cuda-overrides.txt pyproject.toml deploy/cuda.in -o deploy/requirements-cuda.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -c requirements-dev.lock pyproject.toml --extra ray -o deploy/requirements-ray.lock

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache

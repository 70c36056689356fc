# `make demo` trains and shows a scene; `make test` runs the tests. Both make .venv themselves.
# On Linux a plain install of torch brings CUDA; for the CPU build, see README.md, "Installing".
PYTHON ?= python3
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
SOURCES := pyproject.toml CMakeLists.txt $(wildcard native/*)

.PHONY: demo test lint clean

demo: $(VENV)/installed
	$(BIN)/python examples/01_demo.py

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n auto --dist loadfile

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $(wildcard native/*)
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/torch: $(BIN)/python
	$(BIN)/pip install --upgrade pip
	$(BIN)/pip install "$(TORCH)"
	touch $@

$(VENV)/installed: $(VENV)/torch $(SOURCES)
	$(BIN)/pip install -e .
	touch $@

$(VENV)/installed-dev: $(VENV)/torch $(SOURCES)
	$(BIN)/pip install -e ".[dev]"
	touch $@ $(VENV)/installed

clean:
	rm -rf $(VENV) build

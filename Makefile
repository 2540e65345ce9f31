# One command each; every target first builds and fills .venv as far as it needs. `make` alone lists the targets.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt

# pip compiles every file it installs, which takes longer than all else; what is used is compiled at its first import.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help setup demo test test-all test-browser check bench docs clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1@\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F@ '{ printf "%-17s%s\n", $$1, $$2 }'

setup: .venv/.dev ## install everything: torch, the NAS-Bench-201 accuracies, all tools

demo: .venv/.demo ## rank all of NAS-Bench-201 and say how far the ranking can be trusted (no torch needed)
	@$(BIN)/untrained demo

test: .venv/.dev ## run the tests, except the slow ones
	@$(BIN)/pytest -n 2 --dist worksteal -m "not slow and not browser"

test-all: .venv/.dev ## run all tests but those in a browser
	@$(BIN)/pytest -n 2 --dist worksteal --hypothesis-profile=thorough

test-browser: .venv/.dev ## test the report page in Chromium, which root has installed here if it is missing
	@if ! command -v chromium >/dev/null || ! command -v chromedriver >/dev/null; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "Installing chromium and chromium-driver"; \
			{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium chromium-driver >/dev/null; } || \
				echo "They could not be installed: the tests will be skipped, and say so." >&2; \
		else \
			echo "The page is tested in Chromium. Install chromium and chromedriver (on Debian: apt-get install chromium chromium-driver)." >&2; \
		fi; \
	fi
	@$(BIN)/pytest -m browser tests/page

check: .venv/.dev ## lint, formatting, types, layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: .venv/.dev ## time the scoring of a whole space on this machine
	@$(BIN)/python bench/whole_space.py

docs: .venv/.dev ## build the documentation into site/; a broken link is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "Built site/index.html"

clean: ## remove what the targets made: .venv, site/, untrained-demo/, caches
	@rm -rf .venv site untrained-demo dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks
	@find . -type d -name __pycache__ -prune -exec rm -rf {} +

# The pip script is the last thing that making a virtual environment writes.
.venv/bin/pip:
	@command -v "$(PYTHON)" >/dev/null || \
		{ echo "untrained needs Python 3.11 or later, and there is no '$(PYTHON)'. Name one: make PYTHON=/path/to/python3 ..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "untrained needs Python 3.11 or later, and '$(PYTHON)' is $$("$(PYTHON)" --version 2>&1). Name another: make PYTHON=/path/to/python3 ..." >&2; exit 1; }
	@echo "Making .venv with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv --clear .venv || { rm -rf .venv; exit 1; }

.venv/.demo: pyproject.toml constraints.txt | .venv/bin/pip
	@echo "Installing untrained and the NAS-Bench-201 accuracies into .venv"
	@$(PIP) -e '.[nasbench201]'
	@$(BIN)/python -c 'import matplotlib.pyplot, numba, polars, rich.progress, typer'
	@touch $@

.venv/.dev: pyproject.toml constraints.txt | .venv/bin/pip
	@echo "Installing untrained with torch and all tools into .venv (some minutes)"
	@$(PIP) -e '.[dev]'
	@$(BIN)/python -c 'import matplotlib.pyplot, numba, polars, rich.progress, torch, typer'
	@touch $@ .venv/.demo

# Everything a user or a contributor runs. `make demo`, `make ui` and `make test` set up what they need.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
TOOLS  := $(VENV)/.tools
PORT   ?= 3000
REPORTS_PORT ?= 3001
DOCS   := .venv-docs
LAKEHOUSE := .venv-lakehouse

# Files of tests that run at the same time, each process with Spark sessions of its own.
TEST_PROCESSES ?= 2

# The demo and the UI look at one Dagster instance and one data directory; tests make their own.
demo ui: export DAGSTER_HOME := $(CURDIR)/.dagster
demo ui: export SYNML_DATA_DIR ?= $(CURDIR)/data
# A pipeline imports thousands of modules, which Python compiles as it meets them: in this .venv the next process finds
# them compiled, also where the environment says otherwise.
demo ui: export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup demo ui test test-slow test-lakehouse lint format lock build java docs docs-reference docs-serve clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(TOOLS) ## Create .venv with the locked packages, those of the tests too

# What pipelines and the UI need; tests and linters come on top of it when they are first asked for.
$(READY): requirements-run.lock requirements-build.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "No '$(PYTHON)' on PATH. Install Python 3.11 or newer, or say which one: make demo PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"Python 3.11 or newer is needed and $(PYTHON) is {v.major}.{v.minor}. Say which one to use: make demo PYTHON=/path/to/python3.12")'
	@echo "installing the locked packages into $(VENV), once ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-installer.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements-run.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --build-constraints requirements-build.lock --editable .
	@touch $@

$(TOOLS): requirements.lock $(READY)
	@echo "installing what tests and linters need, once ..."
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	@touch $@

java: $(READY)
	@$(BIN)/python -c 'from synml_dagster.spark.java import main; main()'

# Hundreds of tests start processes of their own: with Python's modules compiled and Spark's classes archived they take
# two thirds of the time. Without, everything works the same.
$(VENV)/.quick: $(TOOLS) | java
	@echo "compiling Python's modules and archiving Spark's classes, once ..."
	@$(BIN)/python -m compileall -qq -j 0 -x '/tests/|/(pip|mypy|mypyc|playwright)/' $(VENV)/lib synml_dagster & \
	$(BIN)/python -c 'from synml_dagster.spark.class_archive import main; main()' && wait
	@touch $@

demo: $(READY) java ## Run the whole pipeline on real data; SOURCE=table.csv LABEL=column runs it on yours
	@$(BIN)/python demo.py $(if $(SOURCE),--source "$(SOURCE)") $(if $(LABEL),--label "$(LABEL)")

# Each run that the UI launches starts a JVM: the archive of Spark's classes is made beside it, once, out of its way.
ui: $(READY) java ## Open the Dagster UI on the pipelines of assets/
	@$(BIN)/python demo.py --prepare
	@echo "Dagster opens on http://127.0.0.1:$(PORT), reports on http://127.0.0.1:$(REPORTS_PORT) (Ctrl+C stops both)"
	@$(BIN)/synml reports --port $(REPORTS_PORT) & reports=$$!; \
	nice $(BIN)/python -c 'from synml_dagster.spark.class_archive import main; main()' & archive=$$!; \
	trap 'kill $$reports $$archive 2>/dev/null' EXIT; \
	SYNML_REPORTS_URL=http://127.0.0.1:$(REPORTS_PORT) $(BIN)/dagster dev --workspace workspace.yaml --host 127.0.0.1 --port $(PORT)

test: $(TOOLS) java $(VENV)/.quick ## Run the tests
	@$(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile --durations=30

test-slow: $(TOOLS) java $(VENV)/.quick ## Run the slow tests: real kills, clusters, the browser
	@$(BIN)/python -m pytest -m slow

# No runtime of Iceberg loads on Spark 4.2: an environment of its own has the locked packages, but Spark 4.1.
$(LAKEHOUSE)/.ready: requirements.lock $(TOOLS)
	@echo "installing the locked packages with Spark 4.1 into $(LAKEHOUSE), once ..."
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(LAKEHOUSE)
	@echo 'pyspark[connect]==4.1.*' > $(LAKEHOUSE)/spark
	@$(BIN)/uv pip install --quiet --python $(LAKEHOUSE)/bin/python --overrides $(LAKEHOUSE)/spark --requirements requirements.lock
	@$(BIN)/uv pip install --quiet --python $(LAKEHOUSE)/bin/python --no-deps --build-constraints requirements-build.lock --editable .
	@touch $@

test-lakehouse: $(LAKEHOUSE)/.ready java ## Run the tests of Delta and Iceberg on Spark 4.1, which fetches their jars
	@$(LAKEHOUSE)/bin/python -m pytest -m slow tests/tables/test_lakehouse.py

lint: $(TOOLS) ## Check style, types and the rules of the house
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python .ci/house.py

format: $(TOOLS) ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: ## Pin every package anew, with hashes and without index addresses
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
		--custom-compile-command "make lock" --extra ui --group dev --constraint constraints.txt pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
		--custom-compile-command "make lock" --extra ui --extra xgboost --constraint constraints.txt --constraint requirements.lock pyproject.toml -o requirements-run.lock
	echo hatchling | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
		--custom-compile-command "make lock" - -o requirements-build.lock

# The same commit gives the same bytes, wherever and whenever it is built.
build: $(READY) ## Build the wheel and the sdist into dist/
	@rm -rf dist
	@export SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct 2>/dev/null || echo 1580601600)} && \
	$(BIN)/uv build --quiet --python $(BIN)/python --build-constraints requirements-build.lock --require-hashes --out-dir dist .
	@cd dist && { sha256sum *.whl *.tar.gz 2>/dev/null || shasum -a 256 *.whl *.tar.gz; }

# The site's builder reads the package's source and does not import it: it needs its own packages alone.
$(DOCS)/.ready: pyproject.toml requirements-installer.lock
	@$(PYTHON) -m venv $(DOCS)
	@$(DOCS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-installer.lock
	@$(DOCS)/bin/uv pip install --quiet --python $(DOCS)/bin/python --group docs
	@touch $@

docs: $(DOCS)/.ready ## Build the documentation into site/; a dead link fails
	@NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --quiet --strict
	@echo "site/index.html"

docs-serve: $(DOCS)/.ready ## Show the documentation on http://127.0.0.1:8000, anew at each change
	@NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs serve --livereload

docs-reference: $(READY) ## Write docs/reference/description.md anew, from the code
	@$(BIN)/python docs/reference.py

clean: ## Remove the environment and everything that runs have made
	rm -rf $(VENV) $(DOCS) $(LAKEHOUSE) .dagster data site

# theraloop: `make help` lists what there is. Every target that needs the environment makes it first.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
TORCH := 2.13.0
# Override to test a part: make test-unit TESTS=tests/unit/services/engine
TESTS ?= tests/unit

.PHONY: help setup demo up test test-unit test-integration test-soak test-ops test-images lint format bench lock train train-roles clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Create or update the environment in .venv (pinned, hash-checked)

demo: setup ## Start the stack, judge and refine one real reply, show scores before and after
	@$(BIN)/theraloop demo

up: setup ## Run the stack in the foreground; Ctrl-C stops it
	@$(BIN)/theraloop up

test: setup lint ## Lint, then the whole suite with branch coverage
	@$(BIN)/python -m coverage erase
	@$(BIN)/python -m pytest -m "not soak" --cov --cov-report=term tests

test-unit: setup ## Unit tests only (under a minute)
	@$(BIN)/python -m pytest -m "not slow" $(TESTS)

test-integration: setup ## Tests against a real engine, Redis and Prometheus
	@$(BIN)/python -m pytest -m "not soak" tests/integration

test-soak: setup ## Twenty swaps of checkpoints under load; minutes, on a machine that does nothing else
	@$(BIN)/python -m pytest -m soak tests/integration

test-ops: setup ## Alert rules, dashboards, compose file, Kubernetes manifests, image recipes
	@$(BIN)/python -m pytest tests/ops

test-images: setup ## Build and run the containers (needs buildah, podman and THERALOOP_TEST_BASE_IMAGE)
	@$(BIN)/python -m pytest -rs tests/integration/images

lint: setup ## ruff, mypy --strict, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: setup ## Format the code and sort its imports
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

bench: setup ## Run every benchmark, each against a baseline in the same run
	@for benchmark in benchmarks/[!_]*.py; do echo "== $$benchmark"; $(BIN)/python "$$benchmark"; done

train: setup ## Train, measure and package a judge checkpoint, named VERSION
	@$(BIN)/python -m trainer train $(if $(VERSION),--version $(VERSION))

train-roles: setup ## Build the roles' data, train the three role adapters and release them
	@$(BIN)/python -m trainer roles

# uv.lock is not kept (it would hold the addresses of a package index); the exported requirements are.
lock: ## Resolve the dependencies anew and export them with hashes to requirements/dev.txt
	@$(BIN)/uv lock
	@accelerator=$$(sed -nE 's/^name = "((nvidia|cuda).*)"/--prune \1/p' uv.lock); \
	  $(BIN)/uv export --quiet --all-extras --no-emit-project --no-emit-package torch $$accelerator \
	    --no-annotate --no-header -o requirements/dev.txt
	@UV=$(BIN)/uv requirements/images.sh
	@echo "requirements/dev.txt holds $$(grep -c == requirements/dev.txt) packages"

clean: ## Remove the environment and what tools have left; the model cache stays
	@rm -rf $(VENV) .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache htmlcov dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): requirements/dev.txt requirements/uv.txt pyproject.toml requirements/setup.sh
	@TORCH=$(TORCH) VENV=$(VENV) bash requirements/setup.sh
	@touch $@

# The front door. `make` alone lists what there is.
.DEFAULT_GOAL := help
.PHONY: help up down distclean image image-down dev test test-fast test-whole test-image test-move chromium lint store-tests molecule vault docs bench fuzz rehearse rehearse-down

SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
SCENARIOS := bookstore-app two-vms nginx-certbot golden-image vendors mysql docker firewall
# A small machine has two cores. What each job says is shown whole when it ends, not mixed with what the other says.
SIDE_BY_SIDE := --jobs=2 --output-sync=target
MAKEFLAGS += --no-print-directory
export PATH := $(CURDIR)/$(BIN):$(PATH)

help: ## List the commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

up: ## Start the lab: two hosts, one store, HTTPS (LAB_PORT, LAB_SUBNET, LAB_BASE)
	@$(PYTHON) -m lab up

down: ## Remove the lab; caches stay
	@$(PYTHON) -m lab down

distclean: ## Remove the lab, its images, its caches, .venv and the store of `make dev`
	@$(PYTHON) -m lab distclean

image: ## Bake the golden image and boot two clones of it behind a load balancer, at LAB_PORT + 1
	@$(PYTHON) -m lab image

image-down: ## Remove the clones and the image
	@$(PYTHON) -m lab image-down

dev: ## Serve the store alone, on SQLite with sample books: http://127.0.0.1:5000 (DEV_PORT)
	@$(PYTHON) -m lab dev

rehearse: ## Rehearse the playbooks for AWS on an emulator (KEEP=1 leaves it standing)
	@$(PYTHON) -m lab venv
	@$(BIN)/python -m lab rehearse
	@AWS_STATES=.lab/rehearsal/states AWS_CALLS=.lab/rehearsal/calls.json \
		pytest -q tests/aws/test_state.py tests/aws/test_checkov.py tests/aws/test_operator_policy.py

rehearse-down: ## End a rehearsal that was kept
	@$(BIN)/python -m lab rehearse-down

vault: ## Generate an environment's secrets, encrypted: make vault ENV=production
	@$(PYTHON) -m lab venv
	@$(BIN)/python inventories/new_vault.py $(ENV)

docs: ## Regenerate role references, screenshots and pictures (needs make up)
	@$(PYTHON) -m lab venv
	@$(BIN)/python docs/role_readmes.py
	@$(BIN)/python docs/screenshots.py
	@$(BIN)/python docs/architecture.py

bench: ## Measure the store beside limits of this machine (needs Docker, wrk, nginx): bench/results
	@$(PYTHON) -m lab prepare
	@pip install --quiet --disable-pip-version-check -r bench/requirements.txt
	@for bench in pages purchases login proxy boot; do python -m bench.$$bench || exit 1; done

fuzz: ## Send 30,000 junk requests to every route (FUZZ_REQUESTS, FUZZ_SEED)
	@$(PYTHON) -m lab venv
	@export FUZZ_REQUESTS=$${FUZZ_REQUESTS:-30000} FUZZ_SEED=$${FUZZ_SEED:-$$RANDOM}; \
		echo "FUZZ_SEED=$$FUZZ_SEED"; pytest -q tests/store/test_fuzz.py

# The longest first, so that both cores are busy to the end.
test: chromium test-fast ## Everything that CI runs
	@$(PYTHON) -m lab prepare
	@$(MAKE) $(SIDE_BY_SIDE) rehearse test-whole $(SCENARIOS:%=molecule-%)

test-fast: ## Lint and pytest, without hosts, browser and MySQL
	@$(PYTHON) -m lab venv
	@$(MAKE) $(SIDE_BY_SIDE) lint store-tests

test-whole: chromium ## AWS on an emulator, the store on MySQL and in a browser
	@$(PYTHON) -m lab prepare
	@tests/pytest.sh whole

test-image: image ## Clones of the golden image: broken, killed, booted by the dozen
	@pytest -q tests/image
	@$(PYTHON) -m lab image-down

test-move: up image ## From the two hosts to the clones of the golden image, without losing a row or a cover
	@pytest -q tests/move

# Before what takes long: its absence is no reason to wait.
chromium:
	@$(PYTHON) tests/browser/chromium.py

lint:
	@tests/lint.sh

store-tests:
	@tests/pytest.sh fast

molecule:
	@$(PYTHON) -m lab $(if $(filter efs-mount,$(SCENARIOS)),prepare-nfs,prepare)
	@$(MAKE) $(if $(word 2,$(SCENARIOS)),$(SIDE_BY_SIDE)) $(SCENARIOS:%=molecule-%)

molecule-%:
	@molecule test -s $*

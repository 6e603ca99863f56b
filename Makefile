# One-word commands. Settings are environment variables: `make run PORT=8000`, `make token ORG=7`, `make deploy STAGE=prod`.
# PYTHON=python3.12 makes .venv anew with another interpreter; without it .venv stays what it is.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run test check format token secrets logs demo simulate mutants bench package deploy verify destroy venv

VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/ready$(addprefix -,$(subst /,-,$(PYTHON)))
CODE := $(wildcard app.py chalicelib infra local bench tests examples)
BEGAN := $(shell date +%s)

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

run: export STARTED ?= $(BEGAN)
run: $(READY) ## everything on this machine at http://localhost:3000 (PORT, STACK_PORT, FRESH=1)
	@$(PY) -m local.stack

test: $(READY) ## every test, by as many processes as there are processors; or some (ARGS="tests/unit -x")
	PYTHONHASHSEED=$(shell echo $$RANDOM) $(PY) -m pytest $(or $(ARGS),--numprocesses auto --maxprocesses 4)

check: $(READY) ## style, types, template
	$(VENV)/bin/ruff check $(CODE)
	$(VENV)/bin/ruff format --check $(CODE)
	$(VENV)/bin/mypy $(CODE)
	$(PY) -m infra.package
	$(VENV)/bin/cfn-lint build/template.json

format: $(READY) ## lay the code out as `make check` wants it
	$(VENV)/bin/ruff check --fix-only --quiet $(CODE)
	$(VENV)/bin/ruff format $(CODE)

token: $(READY) ## a token for the local stack (ORG=1)
	@$(PY) -m local.token

secrets: $(READY) ## the webhook's secret and the agent's token of the local stack
	@$(PY) -m local.secrets

logs: $(READY) ## what the local stack's functions logged (ARGS=Pacer, ARGS=<requestId>)
	@$(PY) -m local.logs $(ARGS)

demo: $(READY) ## the guide's workflow, played against a running stack
	@$(PY) -m local.demo

simulate: $(READY) ## the dialing under faults, in virtual time (SEEDS=2000 CONTACTS=30 PROFILE=harsh)
	@$(PY) -m tests.simulation --seeds $(or $(SEEDS),500) --contacts $(or $(CONTACTS),30) --profile $(or $(PROFILE),wild)

mutants: $(READY) ## the guards that no test misses when they are taken out (ARGS="calls/store.py --seeds 50")
	@$(PY) -m tests.mutants $(ARGS)

bench: $(READY) ## what is fast, measured against peers (ARGS="http pacing")
	@$(PY) -m bench $(ARGS)

package: $(READY) ## build/deployment.zip and build/template.json (ARCHITECTURE=arm64)
	@$(PY) -m infra.package

deploy: $(READY) ## to AWS: shows what changes, asks, deploys, tries it (STAGE=dev ARCHITECTURE=arm64 YES=1)
	@$(if $(filter laptop,$(STAGE)),$(PY) -m local.deployment deploy,$(PY) -m infra.deploy "$(STAGE)")

verify: $(READY) ## what only a real account can show of a stage, a line each (STAGE=dev)
	@$(if $(filter laptop,$(STAGE)),$(PY) -m local.deployment verify,$(PY) -m infra.verify "$(STAGE)")

destroy: $(READY) ## take a stage and all it holds out of AWS, once its data is not protected (STAGE=dev)
	@$(PY) -m infra.destroy "$(STAGE)"

venv: $(READY) ## .venv, with the project's packages (PYTHON=python3.13)

# Newest first. A shim of pyenv's fails for a version that is installed and not selected, hence its own folders too.
PYENV := $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions
FOUND := $(foreach v,3.14 3.13 3.12 3.11,python$(v) $(wildcard $(PYENV)/$(v).*/bin/python))
FITS := import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))

# Remade when a requirement changes. Its recipe is silent but for one line, since `make token` prints a token and nothing else.
$(READY): requirements.txt requirements-dev.txt
	@test -e $@ && exit; for each in $(or $(PYTHON),$(FOUND)); do \
		"$$each" -c '$(FITS)' 2>/dev/null && exec "$$each" -m venv --clear $(VENV); \
	done; echo "$(or $(PYTHON),None here) is no Python from 3.11 to 3.14 that runs and has venv; 3.13 or newer is best." >&2; \
	echo "One of these gets it: sudo apt install python3 python3-venv · sudo dnf install python3.13 · brew install python@3.13 · uv python install 3.13; then make PYTHON=<its path>." >&2; exit 1
	@echo "installing the project's packages (once per change of requirements) ..." >&2
	@$(PY) -m pip install --quiet --quiet --disable-pip-version-check --only-binary=:all: --requirement requirements-dev.txt >&2
	@touch $(VENV)/ready $@

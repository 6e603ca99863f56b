# One-word commands. Settings are environment variables: `make run PORT=8000`, `make token ORG=7`, `make deploy STAGE=prod`.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run test check format token logs demo simulate bench package deploy

VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/ready
CODE := $(wildcard app.py chalicelib infra local bench tests)

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

run: $(READY) ## everything on this machine at http://localhost:3000 (PORT, STACK_PORT, FRESH=1)
	@$(PY) -m local.stack

test: $(READY) ## every test
	@$(PY) -m pytest $(ARGS)

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

logs: $(READY) ## what the local stack's functions logged (ARGS=Pacer)
	@$(PY) -m local.logs $(ARGS)

demo: $(READY) ## the guide's workflow, played against a running stack
	@$(PY) -m local.demo

simulate: $(READY) ## the dialing under faults, in virtual time (SEEDS=2000 CONTACTS=30)
	@$(PY) -m tests.simulation --seeds $(or $(SEEDS),500) --contacts $(or $(CONTACTS),30)

bench: $(READY) ## what is fast, measured against peers (ARGS="http pacing")
	@$(PY) -m bench $(ARGS)

package: $(READY) ## build/deployment.zip and build/template.json
	@$(PY) -m infra.package

deploy: $(READY) ## to AWS (STAGE=dev)
	@$(PY) -m infra.deploy "$(STAGE)"

# Remade when a requirement changes. Its recipe is silent but for one line, since `make token` prints a token and nothing else.
$(READY): requirements.txt requirements-dev.txt
	@command -v python3.11 >/dev/null || { echo "Python 3.11 is needed and python3.11 is not on the PATH." >&2; exit 1; }
	@echo "installing the project's packages (once per change of requirements) ..." >&2
	@test -x $(PY) || python3.11 -m venv $(VENV)
	@$(PY) -m pip install --quiet --quiet --disable-pip-version-check --requirement requirements-dev.txt >&2
	@touch $@

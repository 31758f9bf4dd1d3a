# The task list; `make` alone explains it, CI calls the same targets. Logic lives in Python.
PYTHON ?= python3
BIN := .venv/bin
DRIVE ?=
DRIVER ?= robot
N ?= 20
SEED ?= 7
MINUTES ?=
PARTS ?=

.DEFAULT_GOAL := help
.PHONY: help demo stack test test-fast lint bench soak screenshots fix flake golden docs lock setup
help:     ## What can I do here?
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12
lock: ## Rewrite requirements/ from pyproject.toml (needs uv).
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -o requirements/vehicle.txt
	uv pip compile pyproject.toml --all-extras --group dev --group peers --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -o requirements/dev.txt
setup:
	@$(PYTHON) tools/setup.py test
demo:     ## Play one drive, one OK, one good and one bad update; say what happened; exit.
	@$(PYTHON) tools/setup.py demo
	@$(BIN)/okdrive-sim demo --driver '$(DRIVER)' $(if $(DRIVE),--drive '$(DRIVE)')
stack:    ## Broker, director, ingest, a vehicle and the driver's screen, until Ctrl-C.
	@$(PYTHON) tools/setup.py demo
	@$(BIN)/okdrive-sim stack
test: setup ## The whole suite, as CI runs it.
	@$(BIN)/python -m pytest -n 2 --dist worksteal --durations=12
test-fast: setup ## Unit, property, golden, architecture tests: the inner loop, under a minute.
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not broker and not system and not recorded and not slow" --deselect tests/architecture/test_gates.py
lint: setup ## Format, lint, types, imports, fresh docs: what a merge needs besides the tests.
	@$(BIN)/python -m pytest -q tests/architecture
bench: setup ## Every budget of the design, peers in the same run; table and build/bench.json.
	@$(BIN)/python -m benchmarks
soak: setup ## Faults and kill points for minutes or hours; says what was lost (nothing): MINUTES=10 PARTS=power-cuts
	@$(BIN)/python -m tests.soak $(PARTS) --seed $(SEED) $(if $(MINUTES),--minutes $(MINUTES)) --json build/soak.json
screenshots: setup ## Every screen of the driver's page as a picture.
	@$(BIN)/python -m sim.screenshots -o build/screenshots
fix: setup ## Format, and repair what a machine can.
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .
flake: setup ## The fast tests N times in random order: make flake N=20
	@for i in $$(seq $(N)); do $(BIN)/python -m pytest -q -m "not broker and not system and not recorded and not slow" --deselect tests/architecture/test_gates.py || exit 1; done
golden: setup ## Rewrite the golden files; the diff is the review.
	@OKDRIVE_GOLDEN=rewrite $(BIN)/python -m pytest -q tests/golden
docs: setup ## Regenerate configuration, CLI and state pages of docs/reference.
	@$(BIN)/python -m tools.docs

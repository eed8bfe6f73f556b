# ESAAS: `make run` shows it, `make test` tests it. Each sets up what it needs.
#
#   make run AGENTS=4    with a fourth agent, to have room to scale out
#   make run PORT=9090   with the service on another port
#   make sim SEEDS=10000 FAULTS=heavy    simulated worlds full of faults, on all cores

VENV := .venv
LAYERS := $(VENV)/bin/python scripts/layers.py

.PHONY: help run clean-run setup setup-test test test-unit test-sim test-system test-long test-faults sim lint bench bench-scale clean

help:
	@echo 'make run          a data centre in a box and a green cluster in it; Ctrl-C ends it'
	@echo 'make clean-run    forget all that make run made, its data included'
	@echo 'make test         everything below, and one summary'
	@echo 'make lint         ruff, mypy and the contracts between layers'
	@echo 'make test-unit    core, stories, contracts and units; no real parts'
	@echo 'make test-sim     the simulator: seeds under every profile of faults, planted mistakes'
	@echo 'make sim          more seeds: SEEDS=10000 FIRST=0 FAULTS=light'
	@echo 'make test-system  real Mesos, ZooKeeper, Elasticsearch and Chromium'
	@echo 'make test-long    alerts that fire and clear on real parts (45 min)'
	@echo 'make test-faults  one fault after another on real parts; writes docs/reliability.md (20 min)'
	@echo 'make bench        the measurements in bench/README.md; needs a quiet machine'
	@echo 'make bench-scale  300 stand-in nodes on 87 agents, and 1,000 simulated clusters (16 GiB, 25 min, needs wrk)'
	@echo 'make setup        what make run needs; setup-test: what make test needs'
	@echo 'make clean        remove the virtual environment and everything built'

run: setup
	@$(VENV)/bin/esaas local demo $(if $(AGENTS),--agents $(AGENTS)) $(if $(PORT),--port $(PORT))

clean-run: setup
	@$(VENV)/bin/esaas local demo --forget

setup:
	@scripts/setup.sh run

setup-test:
	@scripts/setup.sh test

test: setup-test
	@$(LAYERS) lint unit sim system

lint: setup-test
	@$(LAYERS) lint

test-unit: setup-test
	@$(LAYERS) unit

test-sim: setup-test
	@$(LAYERS) sim

test-long: setup-test
	@$(LAYERS) long

test-faults: setup-test
	@$(LAYERS) faults

SEEDS := 10000
FIRST := 0
FAULTS := light

sim: setup-test
	@$(VENV)/bin/esaas sim --seeds $(SEEDS) --first-seed $(FIRST) --faults $(FAULTS)

test-system: setup-test
	@$(LAYERS) system

bench: setup-test
	@for name in decide create idle measure rolling takeover; do $(VENV)/bin/python -m bench.$$name || exit 1; done

bench-scale: setup-test
	@for name in growth scale sim_scale; do $(VENV)/bin/python -m bench.$$name || exit 1; done

clean:
	rm -rf $(VENV) build dist *.egg-info

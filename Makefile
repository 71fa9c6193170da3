# Two commands do everything on a fresh machine with Python 3.11 or newer: `make demo` and `make test`.
# Another interpreter: `make PYTHON=python3.13 …`. Another place for the environment: `make VENV=build/venv …`.
SHELL := bash
PYTHON ?= python3
VENV ?= .venv
bin := $(VENV)/bin
run := $(bin)/python
pip := $(run) -m pip --disable-pip-version-check --quiet
pythons := python3.11 python3.12 python3.13

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-cluster demo-report check format lint types layers control-plane test tests test-cluster unit fuzz test-pythons bench bench-accuracy bench-catalogue bench-fit bench-referee bench-histograms bench-batching bench-variants bench-layouts bench-packing bench-pipelines bench-controller bench-report bench-growth networks networks-batching docs crds wheel clean

help:  ## list the targets
	@awk -F ':.*##' '/^[a-z-]+:.*##/ {printf "  %-15s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "Replicast needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 | head -n 1)." >&2; \
	    echo "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@echo "creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	    echo "Python's venv module does not work here; on Debian and Ubuntu: apt install python3-venv" >&2; exit 2; }

# Editable installs: only a change of pyproject.toml needs another one.
$(VENV)/.installed: pyproject.toml $(VENV)/pyvenv.cfg
	@echo "installing replicast"
	@$(pip) install --editable '.[plot]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml $(VENV)/pyvenv.cfg
	@echo "installing replicast with the tools that check it"
	@$(pip) install --editable '.[dev]'
	@touch $@ $(VENV)/.installed

setup: $(VENV)/.installed-dev  ## create .venv with the project (editable) and all its tools

demo: $(VENV)/.installed  ## install, then size a chat service on a measured A100 profile
	@echo
	$(bin)/planner size --profile llama-3.1-8b-a100-vllm --qps 20 --input-tokens 512 --output-tokens 128 \
	    --slo 'ttft:p99<=500ms' --slo 'itl:p95<=60ms'

demo-cluster: $(VENV)/.installed-dev  ## the controller at work on a real control plane under a load, without a GPU (three minutes)
	@$(run) -m scripts.control_plane > /dev/null
	@$(run) -m scripts.demo_cluster $(DEMO_ARGS)

demo-report: $(VENV)/.installed-dev  ## a capacity report of a month, as spreadsheet and page, out of examples/capacity-report
	@mkdir -p build/demo-report
	$(bin)/planner report --period 2026-10 --time-zone Europe/Berlin --as-of 2026-11-02 \
	    --fleet examples/capacity-report/fleet.yaml --prices examples/capacity-report/prices.yaml \
	    -o build/demo-report/report.xlsx -o build/demo-report/report.html

check: lint types layers  ## lint, format, strict types and the direction of imports

lint: $(VENV)/.installed-dev
	$(run) -m ruff check .
	$(run) -m ruff format --check .

types: $(VENV)/.installed-dev
	$(run) -m mypy

layers: $(VENV)/.installed-dev
	@$(bin)/lint-imports | sed -n '/^Contracts$$/,$$p'; exit $${PIPESTATUS[0]}

format: $(VENV)/.installed-dev  ## format the code and repair what the linter can
	$(run) -m ruff check --fix .
	$(run) -m ruff format .

# `K8S=1.28` is the oldest Kubernetes that is supported; without it the newest is taken.
export K8S

test: check tests  ## check, then every test

# Where it cannot be built, the tests that need it fail and say so; the others run all the same.
tests: $(VENV)/.installed-dev  ## every test, without the checks
	@$(run) -m scripts.control_plane > /dev/null || true
	@$(run) -m scripts.focus_validator > /dev/null || true
	$(run) -m pytest $(PYTEST_ARGS)

control-plane: $(VENV)/.installed-dev  ## build what the tests start for real (Kubernetes, Prometheus), once, into the user's cache
	@$(run) -m scripts.control_plane

test-cluster: $(VENV)/.installed-dev  ## the tests on a real control plane; K8S=1.28 for the oldest Kubernetes
	@$(run) -m scripts.control_plane > /dev/null || true
	$(run) -m pytest tests/cluster $(PYTEST_ARGS)

unit: $(VENV)/.installed-dev  ## the tests that need no Kubernetes
	@$(run) -m scripts.control_plane prometheus > /dev/null || true
	@$(run) -m scripts.focus_validator > /dev/null || true
	$(run) -m pytest --ignore=tests/cluster $(PYTEST_ARGS)

fuzz: $(VENV)/.installed-dev  ## the property tests with new random examples, many of them
	HYPOTHESIS_PROFILE=fuzz $(run) -m pytest --ignore=tests/cluster $(PYTEST_ARGS)

test-pythons:  ## every test on each of Python 3.11, 3.12 and 3.13 that is found
	@absent=; failed=; for python in $(pythons); do \
	    if ! $$python -c '' 2>/dev/null; then absent="$$absent $$python"; continue; fi; \
	    echo "== $$python"; \
	    $(MAKE) --no-print-directory PYTHON=$$python VENV=build/venv-$$python unit || failed="$$failed $$python"; \
	done; \
	if [ -n "$$absent" ]; then echo "not found, so not tested:$$absent"; fi; \
	if [ -n "$$failed" ]; then echo "failed:$$failed"; exit 1; fi

bench: $(VENV)/.installed-dev  ## measure speed against the goals, and write docs/speed.md
	$(run) benchmarks/speed.py --write docs/speed.md

bench-accuracy: bench-fit  ## measure accuracy: of fits against measurements, of the model against the simulator
	$(run) benchmarks/accuracy.py

bench-catalogue: $(VENV)/.installed-dev  ## measure every shipped profile against the simulator
	$(run) -m benchmarks.catalogue_accuracy --write docs/accuracy-catalogue.md

bench-fit: $(VENV)/.installed-dev  ## measure how well fits predict measured points that they have not seen
	$(run) -m benchmarks.fit_accuracy --write docs/fit-accuracy.md

bench-referee: $(VENV)/.installed-dev  ## judge both by a second, independent simulator, and write docs/referee.md
	$(run) -m benchmarks.referees --jobs 2 --write docs/referee.md

bench-histograms: $(VENV)/.installed-dev  ## percentiles read from buckets against a real client's
	$(run) -m benchmarks.histogram_accuracy

bench-batching: $(VENV)/.installed-dev  ## dynamic batching against its simulator and a real Triton
	OMP_NUM_THREADS=1 $(run) -m benchmarks.batching_accuracy

bench-variants: $(VENV)/.installed-dev  ## how far derived variants lie from measured profiles
	OMP_NUM_THREADS=1 $(run) -m benchmarks.variant_accuracy --write docs/variant-accuracy.md

bench-packing: $(VENV)/.installed-dev  ## packing: time and gap of 50 models on 200 GPUs, and shares against a simulation
	OMP_NUM_THREADS=1 $(run) -m benchmarks.packing --write docs/packing.md

bench-pipelines: $(VENV)/.installed-dev  ## pipelines against their simulator, and write docs/pipeline-accuracy.md
	OMP_NUM_THREADS=1 $(run) -m benchmarks.pipeline_accuracy

bench-report: $(VENV)/.installed-dev  ## a year of 200 models, and the example: docs/report-speed.md (two minutes)
	OMP_NUM_THREADS=1 $(run) -m benchmarks.report_speed --write docs/report-speed.md

bench-controller: $(VENV)/.installed-dev  ## a thousand policies over ten thousand pods: docs/controller-speed.md (ten minutes)
	OMP_NUM_THREADS=1 $(run) -m benchmarks.controller_speed --write docs/controller-speed.md

bench-growth: $(VENV)/.installed-dev  ## growth read from a history against simulated histories: docs/growth-accuracy.md
	OMP_NUM_THREADS=1 $(run) -m benchmarks.growth_band --write docs/growth-accuracy.md

networks-batching: $(VENV)/.installed-dev  ## learn models/learned_batching.py again from simulations (ten minutes)
	OMP_NUM_THREADS=1 $(run) -m scripts.fit_batching

bench-layouts: $(VENV)/.installed-dev  ## profiles carried to another tensor-parallel size, against those measured there
	$(run) -m benchmarks.layout_accuracy --write docs/layout-accuracy.md

networks: $(VENV)/.installed-dev  ## learn models/learned.py again from simulations (hours on two cores)
	$(run) -m scripts.fit_networks contention
	$(run) -m scripts.fit_networks laws

docs: $(VENV)/.installed-dev  ## write the command reference in README.md from the commands' own help
	$(run) scripts/readme_help.py --write

crds: $(VENV)/.installed-dev  ## write deploy/crds, deploy/rbac.yaml and docs/custom-resources.md from the code
	$(run) -m scripts.custom_resources --write

wheel: $(VENV)/.installed-dev  ## build dist/replicast-*.whl
	$(run) -m build --wheel --no-isolation --outdir dist

clean:  ## remove the environment and everything built
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

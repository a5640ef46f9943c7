# The same commands for people and for CI. `make` alone says what there is.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
PYTHON ?= python3
BIN := .venv/bin
GROUND := tests/ground/ground
PYTEST := $(BIN)/python -m pytest
DIST ?= dist
# Everything that needs neither root nor an API server
LIGHT := not apiserver and not netns and not install and not e2e and not e2e_long and not e2e_kind and not soak
# What `make test` runs beside it, in three parts; what is marked long is in none of them
LONG := e2e_long or e2e_kind or soak
APISERVER := (apiserver or install) and not (netns or e2e or $(LONG))
NETNS := netns and not (e2e or $(LONG))
E2E := e2e and not ($(LONG))

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: deps setup ## a newcomer's tour: three routers, the chart, one resource, a failover to watch; all gone at its end
	@PYTHONPATH=tests $(BIN)/python -m demo

.PHONY: test
test: deps setup check heavy ## all tests but the long ones, end-to-end ones on real routers included

.PHONY: setup
setup: .venv/.ready ## .venv with everything

.PHONY: check
check: setup ## format, types, imports, generated files, unit and simulation tests; no root, no API server
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy tests/ground tests/e2e tests/bench tests/documents tests/release tests/kind tests/product.py tests/demo.py
	$(BIN)/lint-imports
	$(BIN)/python -m vyos_api.crd --check
	$(PYTEST) -q -n auto --dist loadgroup -m "$(LIGHT)"

.PHONY: heavy
heavy: setup bins ## the tests of `make test` that `make check` leaves out
	@echo "tests with an API server, and beside them those in network namespaces: 4 minutes; each part prints at its end"
	@$(MAKE) --no-print-directory -j2 --output-sync=target heavy-apiserver heavy-netns
	@$(MAKE) --no-print-directory heavy-e2e

.PHONY: heavy-apiserver heavy-netns heavy-e2e
heavy-apiserver: setup
	$(PYTEST) -q --durations=10 -m "$(APISERVER)"
heavy-netns: setup
	@# two at a time: they wait more than they compute, and each has namespaces of its own
	$(PYTEST) -q -n 2 --dist loadfile --durations=10 -m "$(NETNS)"
heavy-e2e: setup
	$(PYTEST) --durations=10 -m "$(E2E)"

.PHONY: e2e
e2e: deps setup ## the end-to-end tests alone
	$(PYTEST) -m "$(E2E)" tests/e2e tests/ground

.PHONY: e2e-long
e2e-long: deps setup ## end-to-end tests that take minutes each
	$(PYTEST) -m e2e_long
	GROUND_KUBERNETES=1.31 $(PYTEST) -m "not e2e_long" tests/ground/test_versions.py tests/api \
	  tests/chart/test_policy.py tests/chart/test_fences.py tests/chart/test_release.py tests/chart/test_remote_control.py \
	  tests/sync/test_apiserver.py tests/e2e/test_failover.py

.PHONY: kind-demo
kind-demo: setup ## the same tour on kind: with Docker as it is, without one on a node image made here
	@PYTHONPATH=tests $(BIN)/python -m kind

.PHONY: e2e-kind
e2e-kind: setup ## install, own, fail over and uninstall on kind, as kind-demo makes it
	$(PYTEST) -m e2e_kind tests/kind

# What limits a run: make bench SYSTEMS="vyoscluster keepalived-v3" SETTINGS=B FAULTS=power-off N=3
LIMITS = --systems "$(SYSTEMS)" --settings "$(SETTINGS)" --faults "$(FAULTS)" --n "$(N)" --lanes "$(LANES)" \
  --minutes "$(MINUTES)" --rest "$(REST)" --seed "$(SEED)"
BENCH = PYTHONPATH=tests $(BIN)/python -m bench

.PHONY: sim
sim: setup ## simulate HOURS (10) of clusters and faults from SEED (1); a failure prints what replays it
	PYTHONPATH=tests $(BIN)/python -m sim.long --hours $${HOURS:-10} --seed $${SEED:-1} --jobs $$(nproc)

.PHONY: explore
explore: setup ## search for failures with new seeds for MINUTES (10): simulator, Hypothesis, frames, order of tests
	@PYTHONPATH=tests $(BIN)/python -m explore --minutes $${MINUTES:-10} --jobs $${JOBS:-$$(nproc)}

.PHONY: mutants
mutants: setup ## take each defence out of the core, and see that a test notices
	PYTHONPATH=tests $(BIN)/python -m mutants --jobs $$(nproc)

.PHONY: fuzz
fuzz: setup ## feed the frame decoder INPUTS (10000000) from SEED (1), half of them under a good tag
	PYTHONPATH=tests $(BIN)/python -m fuzz.frames --inputs $${INPUTS:-10000000} --seed $${SEED:-1}

.PHONY: bench
bench: setup ## ours beside heartbeat, keepalived and ucarp, 75 minutes (SYSTEMS, SETTINGS, FAULTS, N limit it: tests/bench)
	@$(BENCH) bench $(LIMITS)

.PHONY: bench-defaults
bench-defaults: setup ## the same at the default intervals, 5 s and 20 s
	@$(BENCH) defaults $(LIMITS)

.PHONY: soak
soak: setup ## our daemon at rest for 30 minutes, then 10 with every processor busy (REST_MINUTES, LOAD_MINUTES)
	@$(BENCH) soak --systems "$(SYSTEMS)" --rest-minutes "$(REST_MINUTES)" --load-minutes "$(LOAD_MINUTES)"

.PHONY: bench-scale
bench-scale: setup ## operator and kube-sync against 1,000 clusters on an API server of its own (CLUSTERS, QUIET minutes)
	PYTHONPATH=tests $(BIN)/python -m scale --clusters $${CLUSTERS:-1000} --quiet-minutes $${QUIET:-10}

.PHONY: docs
docs: setup ## the documentation as a site, in build/site, with every warning an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "docs: build/site/index.html"

.PHONY: pictures
pictures: setup ## the live view and pages of the site as pictures: docs/pictures (needs chromium)
	@PYTHONPATH=tests $(BIN)/python -m documents.pictures

.PHONY: record
record: setup ## record a failover in the lab anew: docs/failover.cast, and its picture
	@PYTHONPATH=tests $(BIN)/python -m documents.record

.PHONY: newcomer
newcomer: setup ## measure a newcomer's path: a clean clone, README.md's commands, a failover
	@PYTHONPATH=tests $(BIN)/python -m documents.newcomer

.PHONY: format
format: setup ## write the code as ruff wants it
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: generate
generate: setup ## write the files that are generated from the models, docs/fields.md among them
	$(BIN)/python -m vyos_api.crd
	PYTHONPATH=tests $(BIN)/python -m spec.generate

.PHONY: lock
lock: setup ## resolve the dependencies anew, within pyproject.toml's bounds (UPGRADE=1: to the newest)
	@# dev first: it has all extras, and the others begin with its versions, so that what is tested is what ships
	for extra in dev operator agent cli; do \
	  upgrade=; if [ $$extra = dev ]; then upgrade=$${UPGRADE:+--upgrade}; else cp requirements/{dev,$$extra}.lock; fi; \
	  $(BIN)/uv pip compile -q pyproject.toml --extra $$extra --universal --no-strip-extras \
	    --generate-hashes --custom-compile-command "make lock" $$upgrade -o requirements/$$extra.lock; \
	done
	@# What builds the package in the images (build-system.requires)
	cp requirements/{dev,build}.lock
	echo hatchling | $(BIN)/uv pip compile -q - --universal --generate-hashes --custom-compile-command "make lock" \
	  -o requirements/build.lock

.PHONY: dist
dist: setup ## wheel and sdist, into DIST (dist)
	$(BIN)/python -m hatchling build --clean --directory $(DIST)

.PHONY: chart
chart: ## the chart's archive, into DIST (dist); with this machine's helm, or the ground's
	@command -v helm >/dev/null || eval "$$($(GROUND) env)"; helm package charts/vyos-cluster --destination $(DIST)

.PHONY: sbom
sbom: setup ## bills of materials (CycloneDX) of images and command line, into DIST (dist)
	@PYTHONPATH=tests $(BIN)/python -m release.sbom $(DIST)

.PHONY: bins
bins: deps ## Kubernetes, etcd and helm, built once into the cache
	@$(GROUND) bins

.PHONY: down
down: ## take down whatever a demo or a test left standing
	@$(GROUND) down
	@[ ! -x $(BIN)/python ] || PYTHONPATH=tests $(BIN)/python -m kind down

.PHONY: clean
clean: ## remove what was built here (the ground's cache stays: tests/ground/README.md)
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage

.PHONY: deps
deps: ## the Debian packages that the test ground needs
	@$(GROUND) deps

.venv/.ready: requirements/dev.lock pyproject.toml
	@echo "setup: .venv from requirements/dev.lock"
	@command -v $(PYTHON) >/dev/null \
	  || { echo "setup: there is no $(PYTHON); on Debian: apt-get install python3-venv, or make PYTHON=... setup" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "setup: $(PYTHON) is older than 3.11; name a newer one: make PYTHON=python3.11 setup" >&2; exit 1; }
	@$(PYTHON) -m venv .venv \
	  || { echo "setup: $(PYTHON) has no working venv module; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@# uv first, for it installs the rest in seconds where pip takes a minute or two
	@awk '/^[^ ]/ {uv = /^uv==/} uv' requirements/dev.lock > .venv/uv.lock
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes --only-binary :all: -r .venv/uv.lock
	@$(BIN)/uv pip sync -q --python $(BIN)/python --require-hashes --only-binary :all: requirements/dev.lock
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

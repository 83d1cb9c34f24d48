# 药溯 Yaosu. Needs Python >= 3.11, make and git; everything else is installed into .venv.
#   make demo [PORT=8600] [DATA=data]   set up, start, load the demo province, print address and logins
#   make test                           lint, types, import rules, tests on embedded and on Debian's PostgreSQL, browser
#   make bench                          the table of docs/benchmarks.md, measured here and now
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8600
DATA ?= data
HOST ?= 127.0.0.1

.PHONY: demo test bench setup setup-dev assets lock clean lint help

help:
	@sed -n '2,4p' Makefile

$(VENV)/.base: requirements/base.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) tools/make_venv.py $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/base.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.base
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

setup: $(VENV)/.base assets

setup-dev: $(VENV)/.dev assets

assets: $(VENV)/.base
	@$(BIN)/python tools/build_assets.py

demo: setup
	@exec $(BIN)/yaosu demo --host $(HOST) --port $(PORT) --data $(DATA)

test: setup-dev
	@$(BIN)/python tools/run_tests.py

bench: setup-dev
	@mkdir -p build
	@$(BIN)/yaosu bench --json build/bench.json

lint: setup-dev
	@$(BIN)/python tools/run_tests.py --lint-only

# Locked with hashes and without any registry's address.
lock:
	@$(BIN)/python tools/lock.py

clean:
	rm -rf build $(VENV) src/yaosu/web/node_modules src/yaosu/web/static/dist src/yaosu/web/static/fonts

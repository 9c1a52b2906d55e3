# make demo, make test: all that is needed is Python 3.10+ and make. `make help` lists the rest.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
ARGS   ?=
FLAGS  ?=

.PHONY: help env demo test test-fast test-rest test-slow weights stress fuzz gpu notebooks export readme docs release hooks clean
.DEFAULT_GOAL := help

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{printf "%-16s %s\n", $$1, $$2}'

env: $(READY) ## the environment in .venv, with the versions of constraints.txt

$(READY): settings.ini setup.py constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) cannot make an environment; on Debian: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@# OpenCV's usual wheel needs the system's libGL; where there is none, the same version without windows takes its place
	@$(BIN)/python -c 'import cv2' 2>/dev/null || $(BIN)/python -m pip install -q --disable-pip-version-check --force-reinstall --no-deps -c constraints.txt opencv-python-headless
	@touch $@

demo: env ## synthetic roads, training, validation, pictures (ARGS="…" is passed on)
	$(BIN)/srlane demo $(ARGS)

test: env ## notebooks, modules, types, house rules, wheel (ARGS="house types" runs only those groups)
	$(BIN)/python tools/check.py --flags "$(FLAGS)" $(ARGS)

test-fast: env ## the inner loop, under two minutes: export, house, lint, the notebooks that differ from main and those that use them
	$(BIN)/python tools/check.py --fast

test-rest: env ## the site, and what tries the library from outside: injected faults, hostile input, benchmarks, a browser, the README's commands
	$(BIN)/python tools/check.py --rest

test-slow: FLAGS := slow
test-slow: test ## all of both with what takes longer, and each notebook in a new process

weights: env ## the weights that come with the package: roads, training, file (hours; goes on where it was ended)
	$(BIN)/python tools/weights.py --write $(ARGS)

stress: env ## runs killed, starved, spoilt and spread over processes, in full (ARGS="kills" runs that group)
	$(BIN)/python tools/stress.py $(ARGS)

fuzz: env ## 20,000 hostile files, settings and command lines: each gives a result or one clear line (ARGS="--group lists" for one kind)
	$(BIN)/python tools/fuzz.py $(ARGS)

gpu: ## what only a CUDA device shows, in six minutes and without network (ARGS="--write" keeps it)
	$(firstword $(wildcard $(BIN)/python) $(PYTHON)) tools/gpu.py $(ARGS)

notebooks: env ## run notebooks and save their outputs (all, or ARGS="metrics/culane")
	$(BIN)/python tools/notebooks.py run $(ARGS)

export: env ## notebooks -> srlane/*.py, and the stubs beside them
	PATH="$(abspath $(BIN)):$$PATH" nbdev_export
	$(BIN)/python tools/stubs.py

readme: env ## nbs/index.ipynb -> README.md
	$(BIN)/python tools/docs.py readme

docs: env ## the site in _docs, checked
	$(BIN)/python tools/docs.py build

release: env ## both distributions in dist, of what is committed, tried with each Python named (ARGS="python3.10 python3.13")
	$(BIN)/python tools/release.py $(ARGS)

hooks: env ## git hooks: clean notebooks at commit, merge them cell by cell
	git config --local include.path ../.gitconfig
	install -D -m 755 tools/pre-commit "$$(git rev-parse --git-path hooks)/pre-commit"

clean: ## remove what was made, but not the environment (.venv), data or runs
	rm -rf _docs _proc build dist *.egg-info nbs/nbdev.yml nbs/sidebar.yml .site-*
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

# Two commands on a fresh machine with Python 3.11 or later, git and make: `make repro`, `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(abspath $(BIN)):$(PATH)
export COUNTERWEIGHT_WORK ?= $(abspath .work)
AGAINST ?= origin/main

.DEFAULT_GOAL := help
.PHONY: help install repro study counterweights generations verify pr-check gpu-check hooks test test-fast test-numerics faults mutants lint format bench pretrain quality clean

help: ## This list.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt pip setuptools
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

install: $(VENV)/.installed ## Make .venv with the pinned versions.

# Two seeds with a thread each are a third faster than one after the other with two threads; a GPU takes one at a time.
JOBS ?= $(if $(shell command -v nvidia-smi),1,2)
SEEDS := python -c "import yaml; print(*yaml.safe_load(open('params.yaml'))['seeds'], sep='\n')"

repro: install ## Run the pipeline (dvc repro) for the profile of params.yaml, JOBS=2 seeds at a time, and print the results.
	dvc repro balance
	$(SEEDS) | xargs -P $(JOBS) -I SEED dvc --wait-for-lock repro --single-item train@SEED caption@SEED evaluate@SEED
	dvc repro
	python -m stages.plot --summary

study: install ## Run what is missing of the grid in the profile's section study (hours), and compare the points.
	python -m stages.tools.study --jobs 2

counterweights: install ## Run every lever of the profile's section counterweights (hours), and put them on one table.
	python -m stages.tools.counterweights --jobs 2

generations: install ## Run the loop of the profile's section generations (over an hour): models learn from models.
	python -m stages.tools.generations --jobs 2

verify: install ## Is this run the committed one: equal to the byte, within the spread between replicates, or different?
	python -m stages.tools.verify

gpu-check: install ## On a GPU: the same results as on the CPU? how fast? how much memory? Five minutes, and a JSON.
	python -m stages.tools.gpu_check --out $(COUNTERWEIGHT_WORK)/gpu-check.json

pr-check: install ## What a pull request of the last commit would show; AGAINST=origin/main. Fails where a metric worsens.
	python -m stages.tools.pull_request --against $(AGAINST) --out $(COUNTERWEIGHT_WORK)/review --artifact '$(ARTIFACT)'

hooks: install ## Run ruff and pyright before each commit, and check dvc.lock before each push (pre-commit).
	pre-commit install --hook-type pre-commit --hook-type pre-push

test: install lint ## Everything that guards the project: lint, types, tests, the smoke pipeline end to end.
	OMP_NUM_THREADS=1 python -m pytest --numprocesses 2 --dist loadfile

test-fast: install ## The tests without the end-to-end run.
	OMP_NUM_THREADS=1 python -m pytest --numprocesses 2 --dist loadfile --ignore tests/test_pipeline.py

test-numerics: install ## The numeric tests on kernels that round otherwise, as another processor would. SETTINGS=--reduced
	python tests/numerics.py $(SETTINGS)

faults: install ## Every fault of tests/faults (kills, full disks, damaged files) in every stage: an hour or two.
	FAULTS=all OMP_NUM_THREADS=1 python -m pytest tests/faults

mutants: install ## Change the solver and the metrics, one operator at a time: which changes no test notices (hours).
	python -m tests.mutants

lint: install ## ruff, numpydoc and pyright.
	ruff check .
	ruff format --check .
	numpydoc lint $$(git ls-files 'stages/*.py')
	pyright

format: install ## Format the code.
	ruff format .
	ruff check --fix .

bench: install ## Measure: ratios side by side, on this machine.
	for script in tests/bench/bench_*.py; do echo "== $$script"; python $$script || exit 1; done

pretrain: install ## Train the small text-to-image model of the default again (hours).
	dvc unfreeze data/pretrained/dvc.yaml:emoji-sd
	dvc repro data/pretrained/dvc.yaml:emoji-sd
	dvc freeze data/pretrained/dvc.yaml:emoji-sd

quality: install ## Measure the text-to-image model: recognisability, distances, known bias, sheets (minutes).
	python -m stages.download --params data/pretrained/params.yaml --out data/pretrained/build/corpus
	python -m stages.download --params data/pretrained/params.yaml --section unseen --out data/pretrained/build/unseen
	python -m stages.pretrain.quality

clean: ## Remove what runs wrote, but results, the pretrained model and .venv.
	rm -rf .work .pytest_cache .ruff_cache .hypothesis
	rm -rf data/pretrained/build
	find data -mindepth 2 -maxdepth 2 -not -path 'data/pretrained/*' -not -name results -exec rm -rf {} +

# `make figure` goes from nothing to the Dark-Room figure; `make test` from nothing to passed tests. Both set up .venv first, once.
# The same by hand: docs/running.md.

TARGET ?= results/darkroom/figure.pdf
VENV := .venv
BENCH := .venv-bench
IN_VENV := PATH="$(CURDIR)/$(VENV)/bin:$$PATH"
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c "$(NEW_ENOUGH)" 2>/dev/null && echo $$python && break; done)
PIP = $(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile

unexport PYTHONDONTWRITEBYTECODE  # a command here starts Python many times, which compiles its modules once

.PHONY: help setup setup-rl setup-robots setup-procgen setup-cluster figure all ablations report test torture smoke validation lint format type bench verify record pull plan status

help:
	@echo "make figure      the Dark-Room figure, results/darkroom/figure.pdf, with all cores"
	@echo "make all         figures of all experiments, and results/overview.html, one page of all"
	@echo "make ablations   figures of all ablations, results/ablations/; sets up the extra rl, too"
	@echo "make report      report.html: curves, tables and how they were made, of all recorded results, to read offline"
	@echo "make plan        what TARGET=results/darkroom/figure.pdf will cost: jobs, hours, memory, disk, time"
	@echo "make status      how far a run is: jobs that run, jobs that failed, results that are there"
	@echo "make smoke       every stage on a tiny room, in about a minute"
	@echo "make validation  the figure on goals kept from training, to choose settings on"
	@echo "make test        all tests"
	@echo "make torture     the tests of the guarantees in full: stages are killed at every touch of the disk"
	@echo "make verify      hash all results again, and follow what they were made from"
	@echo "make record      copy what is small to results/recorded/ and tell DVC of all results; refused when out of date"
	@echo "make pull        the results that this commit records, from DVC"
	@echo "make bench       speed against what people use, results/bench.json; has its own environment, .venv-bench"
	@echo "make lint        ruff, mypy, snakefmt, snakemake --lint and hadolint; make type is mypy alone"
	@echo "make format      repair what lint finds, and write config/schema.json, config/README.md and envs/radt.yaml anew"
	@echo "make setup       only the environment, .venv"
	@echo "make setup-rl   the same and the extra rl, for trajectories.source: ppo, sac, dqn or minari"
	@echo "make setup-robots  the same and the extras dmcontrol and metaworld: robots simulated by MuJoCo"
	@echo "make setup-procgen the same and the engine of Procgen: video games"
	@echo "make setup-cluster  the same and Snakemake's plugins for Slurm and other schedulers"

setup: $(VENV)/.core

setup-rl: $(VENV)/.rl

setup-robots: $(VENV)/.robots

setup-procgen: $(VENV)/.procgen

setup-cluster: $(VENV)/.cluster

figure: $(VENV)/.core
	$(IN_VENV) snakemake -- results/darkroom/figure.pdf

all: $(VENV)/.rl $(VENV)/.robots $(VENV)/.procgen
	$(IN_VENV) snakemake -- all

ablations: $(VENV)/.rl
	$(IN_VENV) snakemake -- ablations

report: $(VENV)/.core
	$(IN_VENV) python -m radt report $(OPTIONS)

plan: $(VENV)/.core
	$(IN_VENV) python -m radt plan $(TARGET) $(OPTIONS)

status: $(VENV)/.core
	$(IN_VENV) python -m radt status $(OPTIONS)

smoke: $(VENV)/.core
	$(IN_VENV) snakemake --configfile config/smoke.yaml -- results/smoke/figure.pdf

validation: $(VENV)/.core
	$(IN_VENV) snakemake --configfile config/validation.yaml -- results/validation/figure.pdf

test: $(VENV)/.dev
	$(IN_VENV) python -m pytest -n 3 --no-loadscope-reorder

torture: $(VENV)/.dev
	$(IN_VENV) RADT_TORTURE=1 python -m pytest -m guarantee --durations=20

verify: $(VENV)/.core
	$(IN_VENV) python -m radt verify

record: $(VENV)/.core
	$(IN_VENV) python -m radt record

pull: $(VENV)/.core
	$(IN_VENV) python -m radt pull

lint: $(VENV)/.dev type
	$(IN_VENV) ruff check .
	$(IN_VENV) ruff format --check .
	$(IN_VENV) snakefmt --line-length 130 --check Snakefile workflow
	$(IN_VENV) snakemake --lint
	$(IN_VENV) hadolint envs/Containerfile

type: $(VENV)/.dev
	$(IN_VENV) mypy

format: $(VENV)/.dev
	$(IN_VENV) python -m radt.settings.configuration
	$(IN_VENV) python -m radt.settings.manual
	{ sed '/- pip:$$/q' envs/radt.yaml; sed -n 's/^[^#].*/      - &/p' envs/requirements.txt; } > envs/radt.new && mv envs/radt.new envs/radt.yaml
	$(IN_VENV) ruff check --fix .
	$(IN_VENV) ruff format .
	$(IN_VENV) snakefmt --line-length 130 Snakefile workflow

bench: $(BENCH)/.bench
	PATH="$(CURDIR)/$(BENCH)/bin:$$PATH" OMP_NUM_THREADS=1 python -W ignore -m bench $(OPTIONS)

# A stamp file in an environment says that it holds what its lock file says. $(1) is the lock file, which is complete but for the CUDA
# packages that torch asks for where it is built with CUDA: without --no-deps, pip would search for a minute for what is pinned. Torch,
# the largest, is unpacked beside all others. Python compiles a module when it is first imported: most never are.
define INSTALL
@"$(PYTHON)" -c "$(NEW_ENOUGH)" 2>/dev/null || \
	{ echo "error: radt needs Python 3.11 or newer: install it, or name it with make PYTHON=/path/to/python" >&2; exit 1; }
@echo "setting up $(@D), one to three minutes"
"$(PYTHON)" -m venv $(@D)
@$(PIP) --no-deps $$(grep ^torch== envs/requirements.txt) & \
sort -u $(1) envs/requirements.txt envs/requirements-model.txt | sed '/^torch==\|^-r /d' | $(PIP) --no-deps -r /dev/stdin && wait $$!
$(PIP) torch
$(PIP) --no-deps --no-build-isolation --editable .
endef

$(VENV)/.core: envs/requirements.txt envs/requirements-model.txt
	$(call INSTALL,envs/requirements.txt)
	@touch $@

$(VENV)/.dev: envs/requirements.txt envs/requirements-model.txt envs/requirements-dev.txt envs/requirements-procgen.txt
	$(call INSTALL,envs/requirements-dev.txt)
	@$(PIP) --no-deps -r envs/requirements-procgen.txt || echo "note: no engine of Procgen for this Python; its tests are skipped"
	@touch $(@D)/.core $@

$(VENV)/.rl: $(VENV)/.core envs/requirements-rl.txt
	$(PIP) -r envs/requirements-rl.txt
	@touch $@

$(VENV)/.robots: $(VENV)/.core envs/requirements-robots.txt
	$(PIP) -r envs/requirements-robots.txt
	@touch $@

$(VENV)/.procgen: $(VENV)/.core envs/requirements-procgen.txt
	$(PIP) --no-deps -r envs/requirements-procgen.txt
	@touch $@

$(VENV)/.cluster: $(VENV)/.core envs/requirements-cluster.txt
	$(PIP) -r envs/requirements-cluster.txt
	@touch $@

$(BENCH)/.bench: envs/requirements.txt envs/requirements-model.txt envs/requirements-bench.txt envs/requirements-robots.txt envs/requirements-procgen.txt
	$(call INSTALL,envs/requirements.txt)
	$(PIP) --no-deps --no-build-isolation -r envs/requirements-bench.txt
	$(PIP) -r envs/requirements-robots.txt
	$(PIP) --no-deps -r envs/requirements-procgen.txt
	@touch $@

# make evidence   verdicts on every claim (10 to 30 minutes on 2 cores); SIZE=smoke: the whole way in minutes
# make maps       sweeps of the analytic worlds, and their maps (about half an hour); SIZE=smoke: a minute. Resumes.
# make images     the study of image loops and its records (some five hours on 2 cores). Resumes.
# make test       the tests of the code            make bench   speed, as ratios in one run
# make figures    draw out/figures/ again          make lint    ruff and mypy
# Each sets up what it needs in .venv, once. VENV=path uses an environment that exists, and installs nothing.

SWEEPS = runaway leakage-size timesteps minority trusted-size contraction-kept mechanisms
PYTHON ?= python3
SIZE ?= full
SEED ?= 0
export OMP_NUM_THREADS = 1
export OPENBLAS_NUM_THREADS = 1
export MKL_NUM_THREADS = 1

ifdef VENV
READY = $(VENV)/bin/python
else
VENV = .venv
READY = .venv/.ready
endif
RUN = $(VENV)/bin/python -m

.PHONY: evidence figures maps images test bench lint help

help:
	@sed -n 's/^# //p' Makefile

evidence: $(READY)
	@status=0; \
	$(RUN) pytest paper_checks --size $(SIZE) --seed $(SEED) || status=$$?; \
	$(RUN) figures all --size $(SIZE) --seed $(SEED) && exit $$status

figures: $(READY)
	$(RUN) figures all

maps: $(READY)
	@$(MAKE) --no-print-directory -j $(if $(filter smoke,$(SIZE)),2,1) $(SWEEPS:%=sweep-%)
	@$(RUN) figures maps --size $(SIZE)

sweep-%:
	@$(RUN) sims sweep $* --size $(SIZE) --processes $(if $(filter smoke,$(SIZE)),1,2)

images: $(READY)
	@$(RUN) sims study
	@$(RUN) paper_checks.image_records
	@$(RUN) paper_checks.image_theory
	@$(RUN) figures images

test: $(READY)
	$(RUN) pytest tests -n 2 -m "not slow" --seed $(SEED)

bench: $(READY)
	$(RUN) benchmarks

lint: $(READY)
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy

.venv/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

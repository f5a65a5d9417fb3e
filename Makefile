# Each target is the only command to type: it makes its own .venv first.

PYTHON ?= python3
VENV := .venv
comma := ,

# mysqlclient needs a compiler, so only those who test on MariaDB get it.
EXTRAS := dev$(if $(filter mysql:%,$(DATABASE_URL)),$(comma)mariadb)
INSTALLED := $(VENV)/.installed-$(EXTRAS)
INSTALLED_DOCS := $(VENV)/.installed-docs

# How many processes run the tests: as many as there are cores.
WORKERS ?= auto

# COVERAGE=yes says which lines no test reaches. Some lines are there for one database alone:
# CI combines the runs, and wants every line.
COVERAGE ?=
PYTEST := $(if $(COVERAGE),coverage run -m pytest,pytest)
FAIL_UNDER := $(if $(filter-out sqlite:%,$(DATABASE_URL)),0,99)

.PHONY: help test demo docs clean

help:
	@echo "make test    run the whole suite, on SQLite or on what DATABASE_URL names;"
	@echo "             with COVERAGE=yes, say which lines no test reaches"
	@echo "make demo    watch a machine get a key, use it and lose it, and a human log in"
	@echo "make docs    make the site of docs/ in build/docs, where a warning is an error"
	@echo "make clean   remove what these made, $(VENV) included"
	@echo
	@echo "Each makes its own $(VENV) first. With another Python: make test PYTHON=python3.13"

test: $(INSTALLED)
	@$(if $(COVERAGE),$(VENV)/bin/python -m coverage erase)
	@$(VENV)/bin/python -m $(PYTEST) -n $(WORKERS) --dist loadfile
	@$(if $(COVERAGE),$(VENV)/bin/python -m coverage combine --quiet)
	@$(if $(COVERAGE),$(VENV)/bin/python -m coverage report --fail-under=$(FAIL_UNDER))

demo: $(INSTALLED)
	@$(VENV)/bin/python -m example_project.demo

docs: $(INSTALLED_DOCS)
	@$(VENV)/bin/python -m sphinx -q -W --keep-going -j auto -d build/doctrees docs build/docs
	@echo "Open build/docs/index.html in a browser."

clean:
	rm -rf $(VENV)* .coverage* .hypothesis .mutants .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info tests/interop/node_modules

$(VENV)/.installed-%: setup.cfg
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "$(PYTHON) is not Python 3.11 or newer. If you have one: make test PYTHON=/path/to/it" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "$(PYTHON) has no venv module. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Making $(VENV) with what it needs. This happens once and takes a minute."
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install -qq --disable-pip-version-check --editable '.[$*]'
	@touch $@

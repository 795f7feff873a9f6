# CKA Explorer. What the recipes run stands in README.md and CONTRIBUTING.md too, for machines without make.
# PORT=8600 make run takes that port, PYTHON=/path/to/python make run that Python.

# The newest Python here that is 3.10 to 3.13 and can make a virtual environment.
ifeq ($(origin PYTHON), undefined)
PYTHON := $(shell for name in python3.13 python3.12 python3.11 python3.10 python3 python; do \
	$$name -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1 \
	&& echo $$name && break; done)
endif
VENV = .venv/bin/python
VENV_TORCH = .venv-torch/bin/python

.PHONY: run class dev test test-pure test-torch test-pythons audit lint demo bench screenshots setup setup-dev setup-torch clean python

# Show the page at http://127.0.0.1:8501, with a finished comparison on it; the next free port if that one is taken.
run: setup
	$(VENV) -m streamlit run server.py $(if $(PORT),--server.port $(PORT))

# Show it to a class in this network, within limits: prints its address and the teacher's key (docs/deploy.md).
class: setup
	$(VENV) scripts/classroom.py

# The same for whoever changes the code: pages are run again when their files change.
dev: setup-dev
	$(VENV) -m streamlit run app.py --server.fileWatcherType auto --server.runOnSave true $(if $(PORT),--server.port $(PORT))

# Check everything: formatting, types, and all tests, those in a browser too. They mostly wait: two to a core of two.
test: lint
	$(VENV) scripts/browser.py
	$(VENV) -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# The tests that need neither TensorFlow nor a browser, without the plugin that brings one in: under a minute.
test-pure: setup-dev
	$(VENV) -m pytest -n 2 --dist loadfile -p no:playwright -m pure tests/base tests/measures tests/atlas tests/claims tests/results tests/test_house.py

# The tests of PyTorch models, in an environment of their own: nothing else needs PyTorch.
test-torch: setup-torch
	$(VENV_TORCH) -m pytest tests/torch

# The tests without TensorFlow and browser on every Python of 3.10 to 3.13 that is found, lowest and highest versions too.
test-pythons: python
	$(PYTHON) scripts/test_pythons.py

# Hold the pinned versions against the known vulnerabilities, where a database of them can be reached.
audit: python
	$(PYTHON) scripts/audit.py

# Check formatting and types only.
lint: setup-dev
	$(VENV) -m ruff check .
	$(VENV) -m ruff format --check .
	$(VENV) -m mypy

# Make the bundled networks and comparisons again from the images; goes on where it was stopped.
demo: setup
	$(VENV) -m cka_core demo build

# Print speed and memory against the limits and against other tools, with the machine.
bench: setup-dev
	$(VENV) benchmarks/engine.py

# Take the pictures in docs/ again, from the running page; and into pictures/ every page in every state, to be looked at.
screenshots: setup-dev
	$(VENV) scripts/browser.py
	$(VENV) docs/make_screenshots.py
	$(VENV) scripts/picture_states.py pictures

# Install what the app needs into .venv, if that changed.
setup: python
	@$(PYTHON) scripts/setup.py

# Install what the tests need too.
setup-dev: python
	@$(PYTHON) scripts/setup.py --dev

# Make .venv-torch, with PyTorch beside what the tests need.
setup-torch: python
	@$(PYTHON) scripts/setup.py --torch

# Remove the environments and the caches of the tools; results live elsewhere (see README.md) and stay.
clean:
	rm -rf .venv .venv-torch .venv-pythons .venv-audit .pytest_cache .mypy_cache .ruff_cache cka_explorer.egg-info build

# Say so if no Python here will do.
python:
	@test -n "$(PYTHON)" || { echo "CKA Explorer needs Python 3.10 to 3.13 with its venv module; none was found." \
	"Install one (python.org; on Debian and Ubuntu: apt-get install python3 python3-venv), or name it:" \
	"PYTHON=/path/to/python make run" >&2; exit 1; }

# make quickstart: teacher, distillation, shrinking and evaluation on built-in data, at most 5 minutes on 2 cores.
# make test: every test. make lint: style and the rules of who imports whom.
PYTHON ?= python3.11
VENV := .venv
RUN := TF_CPP_MIN_LOG_LEVEL=3 $(VENV)/bin/python
PACKAGES := keras_cdd export benchmarks examples tests

.PHONY: quickstart test lint clean

$(VENV)/.installed: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --upgrade pip
	$(VENV)/bin/python -m pip install --quiet -r requirements.txt
	$(VENV)/bin/python -m pip check
	touch $@

quickstart: $(VENV)/.installed
	$(RUN) -m keras_cdd.train --flagfile=keras_cdd/configs/quickstart.flags --workdir=runs/quickstart

test: $(VENV)/.installed lint
	$(RUN) -m pytest

lint: $(VENV)/.installed
	$(VENV)/bin/ruff check $(wildcard $(PACKAGES))
	$(VENV)/bin/lint-imports

clean:
	rm -rf runs build $(VENV)

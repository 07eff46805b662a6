# Words to Answers. `make` prints the targets. Every path here is relative, so that a folder with
# spaces in its name works, and programs of the environment are started as `python -m program` for
# the same reason.

PY := .venv/bin/python
STAMP := .venv/.course-stamp
JOBS ?= 2
# Two tests at a time, a processor core for each: where two of them share two cores, both take longer
# than one after the other.
PYTEST = OMP_NUM_THREADS=1 $(PY) -m pytest -n $(JOBS) --dist worksteal
MAKEFLAGS += --no-print-directory
unexport PYTHONPATH PYTHONHOME

define TOLD
What is done now, and only once:
  packages             0.5 GB to fetch, 2.2 GB on the disk (with an NVIDIA GPU 3 GB more)
  the site             from the outputs that are stored in the notebooks: open it while the rest goes on
  models and texts     0.3 GB to fetch, 0.9 GB on the disk with what is made of them
  pages that compute   46 MB, made of the models: the reader answers on the site's first page
  a minute's training  and a question to the model that was trained
Six minutes in all on two processor cores, where the network brings 0.8 GB in a minute. Stop it
whenever you like: the next run goes on from there.
endef
export TOLD

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: python-asked-for told assets-once help course run test test-full lab notebooks site site-serve slides demo \
  poll handout weights assets bench lint new-notebook publish clean

help: ## print this list
	@echo "Words to Answers: make TARGET [PYTHON=python3.11] [ARGS='passed on to the program'] [JOBS=2, tests at a time]"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{printf "%-13s %s\n", $$1, $$2}'

course: told $(STAMP) ## set up what is missing, build the site, train for a minute and ask: start here
	@$(PY) tools/build_site.py build/site
	@echo "  The site can be read now: build/site/index.html"
	@$(MAKE) --silent build/first_answer.txt
	@cat build/first_answer.txt
	@$(MAKE) --silent $(EXPLORERS)
	@echo "The course is ready. Read build/site/index.html, or work with the notebooks: make lab"

told:
	@[ -f $(STAMP) ] || echo "$$TOLD"

# Made again when something changed that it depends on.
build/first_answer.txt: $(STAMP) tools/first_answer.py $(wildcard src/*.py src/qa/*.py data/course_qa/*)
	@$(MAKE) assets-once
	@$(PY) tools/first_answer.py $@

# The models in the pages of the site: files made from the released weights.
EXPLORERS := build/site/explorers/.laid
$(EXPLORERS): $(STAMP) $(wildcard tools/explorers.py tools/page_*.py tools/onnx_file.py src/explorers/runtime/* weights/*/card.json)
	@$(MAKE) assets-once
	@$(PY) tools/explorers.py

run: assets-once ## run every notebook here (20 minutes), and build the site from that
	@$(PY) tools/run_notebooks.py notebooks --to build/notebooks
	@$(PY) tools/build_site.py build/site
	@$(MAKE) --silent $(EXPLORERS)

test: assets-once ## set up what is missing, then run the tests, each notebook in fast mode among them
	@$(PYTEST) $(ARGS)

test-full: assets-once ## every test, also those that take long
	@$(PYTEST) -m "full or not full" $(ARGS)

lab: assets-once ## open JupyterLab on the first notebook
	@$(PY) -m jupyterlab --LabApp.news_url=None $$([ "$$(id -u)" = 0 ] && echo --allow-root) \
	  $(firstword $(wildcard notebooks/*.ipynb) notebooks)

notebooks: assets-once ## run the notebooks and write their outputs back into notebooks/
	@$(PY) -m src.teaching.glossary notebooks/glossary.md
	@$(PY) tools/run_notebooks.py notebooks --in-place
	@$(PY) tools/pictures.py --figures
	@$(PY) tools/minutes.py --write

site: $(STAMP) ## build the site again: with the outputs of `make run` where there are some, else the stored
	@$(PY) tools/build_site.py build/site

site-serve: $(STAMP) ## serve the site on this computer: then its pages compute with all cores
	@$(PY) tools/site_server.py build/site $(ARGS)

slides: $(STAMP) ## build the decks into build/slides: ARGS='workshop --pdf', one of them, also as a PDF
	@$(PY) tools/build_slides.py $(ARGS)

demo: assets-once ## ask Wikipedia, or a passage of your own, on a page in your browser
	@$(PY) -m src.apps.demo $(ARGS)

poll: $(STAMP) ## ask a room: a question on the projector, votes from phones (their network: ARGS='--network')
	@$(PY) -m src.apps.poll $(ARGS)

handout: $(STAMP) ## write the notebooks to hand out, without solutions and outputs, into build/handout
	@$(PY) tools/handout.py build/handout

weights: assets-once ## train the released weights again, into build/weights
	@$(PY) tools/make_word2vec.py $(ARGS)
	@$(PY) tools/make_sequences.py $(ARGS)
	@$(PY) tools/make_language_models.py $(ARGS)
	@$(PY) tools/make_pretraining.py $(ARGS)
	@$(PY) tools/make_vectors.py $(ARGS)
	@$(PY) tools/make_weights.py $(ARGS)
	@$(PY) tools/make_student.py $(ARGS)

bench: assets-once ## measure against the usual recipes and libraries (on an idle machine)
	@$(PY) benchmarks/bench_finetune.py
	@$(PY) benchmarks/bench_evaluate.py
	@$(PY) benchmarks/bench_vectors.py
	@$(PY) benchmarks/bench_word2vec.py
	@$(PY) benchmarks/bench_dates.py
	@$(PY) benchmarks/bench_compression.py
	@$(PY) benchmarks/bench_retrieval.py
	@$(PY) benchmarks/bench_variants.py

assets: $(STAMP) ## fetch the models and texts of the course, or verify those that are there
	@$(PY) -m src.assets fetch

# What every run needs. Asked each time, so it only compares dates: files are verified by src.assets
# when they are used.
assets-once: $(STAMP)
	@fetched="$${COURSE_CACHE:-data/cache}/.fetched"; \
	[ "$$fetched" -nt data/assets.txt ] && [ "$$fetched" -nt src/assets.py ] || { $(PY) -m src.assets fetch && touch "$$fetched"; }

lint: $(STAMP) ## check the style of the code, also inside the notebooks, spelling, links and the sizes of files
	@$(PY) -m ruff check $(wildcard src tests tools benchmarks notebooks)
	@$(PY) -m ruff format --check $(wildcard src tests tools benchmarks notebooks)
	@$(PY) tools/checks.py

new-notebook: $(STAMP) ## start a notebook in the house's form: make new-notebook NAME=11_title
	@$(PY) tools/new_notebook.py "$(NAME)"

publish: $(STAMP) ## say where the course is published: make publish ADDRESS=https://github.com/OWNER/NAME
	@$(PY) tools/publish.py "$(ADDRESS)"

clean: ## delete what was built (.venv, data/cache, what was trained and votes, in build/runs, build/weights and build/poll, stay)
	rm -rf .pytest_cache .ruff_cache .hypothesis
	@[ ! -d build ] || find build -mindepth 1 -maxdepth 1 ! -name runs ! -name weights ! -name poll -exec rm -rf {} +

# A Python that is asked for is compared each time: the environment may have been made with another.
$(STAMP): constraints.txt pyproject.toml tools/environment.py tools/pick_python.py $(if $(PYTHON),python-asked-for)
	@host=$$(command -v python3 || command -v "$(or $(PYTHON),python)") || \
	{ echo "make: there is no python3 on the PATH; install Python 3.11, 3.12 or 3.13, then run make again." >&2; exit 1; }; \
	echo "Setting up .venv (only when its packages changed):"; \
	"$$host" tools/pick_python.py $(if $(PYTHON),--only "$(PYTHON)")

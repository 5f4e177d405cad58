# make figures   run the whole study on phantoms and write figures/ and tables
# make test      pytest without what is marked slow, then nbval on the notebooks
# make test-all  all tests, and nbval on notebooks and solutions, as CI does
# make lab       JupyterLab on the notebooks; LAB="--port 9000 --address 0.0.0.0 --no-browser --root" for a server
# make site      the notebooks as a web site, in .site/, read from disk
# make bench     the speed ratios, as a table
# make lint      ruff on code and notebooks
# make notebooks re-execute the committed notebooks in place (demo profile)
# make lock      renew requirements.txt after a change in pyproject.toml
# make clean     remove phantoms, caches and logs; finished runs and the virtual environment stay
#
# CPU=1          install without CUDA, 2 GB in place of 6 (Linux; for Windows and macOS there is none anyway)

PYTHON ?= python3
VENV   ?= .venv
CORES  ?= $(shell nproc 2>/dev/null || echo 2)
LAB    ?=
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# Nothing depends on what else is installed for this user.
export PYTHONNOUSERSITE := 1
# Threads that wait sleep instead of spinning. On a busy machine spinning makes a training step of a small
# network fifty times slower.
export OMP_WAIT_POLICY := PASSIVE

.DEFAULT_GOAL := figures
.PHONY: figures test test-all lab site bench lint notebooks lock clean

# The exact lock, hash-checked; or all of it but CUDA and what is built for it. torch and torchvision without CUDA
# are other files under the same versions, with hashes that no lock can hold beside these: uv takes them, unchecked,
# from the index that PyTorch keeps for them. The project itself goes in last, editable and without dependencies,
# built by the setuptools of the lock so that no second, unpinned build environment is made. Byte code is made now,
# as pip does and uv does not unless told: where the environment forbids to write it later
# (PYTHONDONTWRITEBYTECODE, common in containers), every process would compile all of PyTorch first, for seconds.
$(READY): requirements.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $$(sed -n 's/^\(uv==[^ ]*\).*/\1/p' requirements.txt)
ifdef CPU
	sed -nE 's/^(torch|torchvision|triton|cuda-[^=]*|nvidia-[^=]*)==.*/\1/p' requirements.txt > $(VENV)/not-on-cpu.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --excludes $(VENV)/not-on-cpu.txt \
	    -r requirements.txt
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --torch-backend cpu \
	    $$(sed -nE 's/^((torch|torchvision)==[^ ]*).*/\1/p' requirements.txt)
else
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.txt
endif
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	touch $@

figures: $(READY)
	$(BIN)/snakemake --cores $(CORES) --quiet rules --rerun-incomplete --nolock

# Notebooks in their own order: xdist would put the longest first, and 41 waits for the networks of 20 to 23.
test: QUICK = -m "not slow"
test: MAIN = --ignore=notebooks/solutions
test test-all: $(READY)
	$(BIN)/python -m pytest -n $(CORES) --dist loadfile $(QUICK)
	home=$$(mktemp -d); OMP_NUM_THREADS=1 MAMMOSEG_HOME=$$home \
	    $(BIN)/python -m pytest --nbval --nbval-current-env notebooks $(MAIN) \
	    --nbval-sanitize-with tests/nbval.cfg -p no:cacheprovider \
	    -n $(CORES) --dist loadfile --no-loadscope-reorder; \
	    status=$$?; rm -rf $$home; exit $$status

lab: $(READY)
	$(BIN)/mammoseg lab $(LAB)

site: $(READY)
	$(BIN)/mammoseg site

bench: $(READY)
	$(BIN)/python -m tests.bench

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

notebooks: $(READY)
	$(BIN)/mammoseg run-notebooks --in-place

lock: $(READY)
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --generate-hashes \
	    --no-emit-index-url --custom-compile-command "make lock" pyproject.toml -o requirements.txt

clean:
	rm -rf data/phantoms data/cache .site .snakemake .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -not -path './$(VENV)/*' -exec rm -rf {} +

# Each target makes the virtual environment it needs in .venv, installs once, and runs; offline from then on.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed
INSTALL = @test -x $(BIN)/python || $(PYTHON) -m venv .venv; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo seeds test kernels portability long mutants lint figures tutorials bench bench-guard race crosscheck scoreboard site vectors vectors-release release clean

DEMO = --methods gn-cg,hessian-cg,hybrid-cg,hessian-bicgstab,sgd --data mnist-mini --steps 25

demo: $(STAMP)-demo
	$(BIN)/refhf compare $(DEMO) --hidden 400,150 --out demo --overwrite

seeds: $(STAMP)-demo
	$(BIN)/python benchmarks/seeds.py $(DEMO) --hidden 50

test: $(STAMP)-test
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto  # a process a core, one BLAS thread each

kernels: $(STAMP)-test
	$(BIN)/python tests/portability.py --here --quick --only kernel-Prescott-1,kernel-Haswell-1

portability: $(STAMP)-test
	$(BIN)/python tests/portability.py  # hours; docs/portability.md

long: $(STAMP)-test
	OPENBLAS_NUM_THREADS=1 HYPOTHESIS_PROFILE=long $(BIN)/python -m pytest -q -n auto
	$(MAKE) figures

vectors: $(STAMP)-test
	$(BIN)/python tests/make_vectors.py --check  # without --check it writes new vectors

vectors-release: $(STAMP)-test
	$(BIN)/python docs/vectors_release.py  # dist/refhf-vectors-VERSION.tar.gz and its checksum

mutants: $(STAMP)-mutants
	$(BIN)/python tests/mutation.py --share 0.2 --processes 2  # some 1,300 mutants; tests/MUTATION.md

lint: $(STAMP)-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

tutorials: $(STAMP)-test
	for t in tutorials/[0-9]*.py; do echo "== $$t"; $(BIN)/python $$t || exit 1; done

figures: $(STAMP)-test
	for f in figures/fig*.py; do echo "== $$f"; $(BIN)/python $$f || exit 1; done
	$(BIN)/python figures/write_pages.py

bench: $(STAMP)-crosscheck
	mkdir -p build
	$(BIN)/python benchmarks/curvature_products.py --json build/bench.json
	$(BIN)/python benchmarks/record.py build/bench.json  # a line of benchmarks/history.jsonl, and docs/history.md
	$(BIN)/python benchmarks/curvature_products.py --threads 1 --rounds 3 --only keeps --json build/bench.json
	$(BIN)/python benchmarks/record.py build/bench.json  # of one thread, what bench-guard compares with
	$(BIN)/python benchmarks/convolution.py
	$(BIN)/python benchmarks/nlcg_step.py
	$(BIN)/python benchmarks/checkpoint.py
	$(BIN)/python benchmarks/checkpoint.py --long
	$(BIN)/python benchmarks/scaling.py --quick
	$(BIN)/python benchmarks/torch_verdict.py

bench-guard: $(STAMP)-crosscheck
	mkdir -p build
	$(BIN)/python benchmarks/curvature_products.py --threads 1 --rounds 2 --only 'jax keeps' --json build/bench.json
	$(BIN)/python benchmarks/record.py --compare build/bench.json  # 90 seconds; warnings, never a failure

race: $(STAMP)-crosscheck
	$(BIN)/python -m pip install --quiet pytorch-minimize
	$(BIN)/python benchmarks/race.py  # some 20 minutes of one core; --help says how to add PyTorchHessianFree
	$(BIN)/python benchmarks/race_page.py

crosscheck: $(STAMP)-crosscheck
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -o addopts= tests/crosscheck
	$(BIN)/python -m pytest -q tests/test_vectors.py -k adapter
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/test_pytest_plugin.py tests/test_exports.py -k 'module or from_torch or compare_recipes'

scoreboard: $(STAMP)-test
	$(BIN)/python benchmarks/scoreboard/run.py  # what is installed; for more: pip install -e '.[scoreboard]'

site: $(STAMP)-site
	$(BIN)/python docs/site/build.py $(if $(LIVE),--live)  # build/site/html/index.html; LIVE=1: docs/live.md

$(STAMP)-demo: pyproject.toml
	$(INSTALL) -e '.[cli]'
	@touch $@

$(STAMP)-test: pyproject.toml
	$(INSTALL) -e '.[all,test]'
	@touch $@

$(STAMP)-lint: pyproject.toml
	$(INSTALL) -e '.[all,test]' ruff==0.17.6 'pyright[nodejs]==1.1.414'
	@touch $@

$(STAMP)-mutants: $(STAMP)-test
	$(INSTALL) mutmut==3.8.1
	@touch $@

$(STAMP)-crosscheck: pyproject.toml
	$(INSTALL) -e '.[all,test,crosscheck]'
	@touch $@

$(STAMP)-site: pyproject.toml
	$(INSTALL) -e '.[site,test]'
	@touch $@

release: $(STAMP)-release
	$(BIN)/python docs/release.py

$(STAMP)-release: pyproject.toml
	$(INSTALL) build==1.6.1 twine==7.0.0
	@touch $@

clean:
	rm -rf .venv demo seeds build mutants *.egg-info .pytest_cache .hypothesis .ruff_cache

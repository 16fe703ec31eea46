# Thin verbs. `make demo` and `make test` set everything up by themselves.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test e2e soak lint format reference lock bench clean

# The locked environment; uv is installed into it first.
.venv/.synced: pyproject.toml uv.lock
	@test -x $(BIN)/python || $(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed; name one with PYTHON=...") if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	UV_PYTHON_DOWNLOADS=never UV_COMPILE_BYTECODE=1 $(BIN)/uv sync --frozen --all-extras --python $(BIN)/python
	@touch $@

demo: .venv/.synced
	$(BIN)/mlplat demo

lint: .venv/.synced
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# KServe's and MLflow's clients, for the contract tests, have an environment of their own, in uv's cache.
test: lint
	$(BIN)/pytest tests/unit -n 2 --cov --cov-report=term --cov-fail-under=90
	UV_PYTHON_DOWNLOADS=never MLFLOW_DISABLE_TELEMETRY=true \
		$(BIN)/uv run --quiet --locked --python $(BIN)/python --script tests/contract/sdks.py < /dev/null
	$(BIN)/pytest tests/docs tests/chart tests/contract -n 2

# On a cluster: CLUSTER=... names the command that owns it, E2E_IMAGE=... an image that its nodes have already.
e2e: .venv/.synced
	$(BIN)/pytest tests/e2e -n 2 --dist loadfile -m "not disruptive"
	E2E_IMAGE=$${E2E_IMAGE:-localhost/ml-platform:e2e} $(BIN)/pytest tests/e2e -m disruptive

# Upgrades, rollbacks and planned outages until SOAK_REQUESTS (100000) were asked, then 1,000 ModelDeployments. Nothing else
# may use the cluster.
soak: .venv/.synced
	$(BIN)/python tests/e2e/soak.py
	FLEET=1000 $(BIN)/pytest tests/e2e/test_scale.py

format: .venv/.synced
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

reference: .venv/.synced
	$(BIN)/python charts/crd.py
	$(BIN)/python charts/reference.py

lock:
	$(BIN)/uv lock --upgrade
	$(BIN)/uv lock --upgrade --script tests/contract/sdks.py

bench: .venv/.synced
	$(BIN)/python bench/batch.py
	$(BIN)/python bench/serve.py

clean:
	rm -rf .venv .mypy_cache .ruff_cache .coverage*

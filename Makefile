# Two commands do all the set-up: `make demo` shows it, `make test` proves it.
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
GSTREAMER := gstreamer1.0-tools,gstreamer1.0-plugins-base,gstreamer1.0-plugins-good,gstreamer1.0-plugins-bad,gstreamer1.0-libav
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: help demo test lint unit test-players soak fuzz bench lock clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/.runtime: pyproject.toml requirements.lock scripts/venv.sh
	@sh scripts/venv.sh $(VENV)
	@$(PIP) -r requirements.lock
	@$(PIP) --no-deps --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.lock
	@$(PIP) -r requirements-dev.lock
	@touch $@

demo: $(VENV)/.runtime ## a live channel and its page; SECONDS=N ends it, ARGS="--json" and more
	@$(BIN)/surgecast demo $(if $(SECONDS),--seconds $(SECONDS)) $(ARGS)

test: system-test lint unit ## everything CI checks

.PHONY: system-test
system-test: $(VENV)/.dev
	@sh scripts/system-packages.sh ffmpeg=ffmpeg chromium=chromium nginx=nginx-light \
		curl=curl openssl=openssl h2load=nghttp2-client

lint: $(VENV)/.dev ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

unit: $(VENV)/.dev ## the tests alone
	$(BIN)/python -m pytest -q -n auto -m "not long" --ignore tests/integration --ignore tests/players $(ARGS)
	$(BIN)/python -m pytest -n 2 --dist loadfile --durations 12 -m "not long" tests/integration tests/players $(ARGS)

test-players: $(VENV)/.dev ## every player there is, a minute each
	@sh scripts/system-packages.sh ffmpeg=ffmpeg chromium=chromium mpv=mpv node=nodejs npm=npm \
		cvlc=vlc-bin,vlc-plugin-base gst-launch-1.0=$(GSTREAMER)
	npm ci --silent --no-audit --no-fund --prefix tests/players
	$(PIP) streamlink
	SURGECAST_ALL_PLAYERS=1 $(BIN)/python -m pytest tests/players $(ARGS)

soak: $(VENV)/.dev ## the long tests, SEEDS=500 of the twin, then SECONDS=1800 of everything at once
	@sh scripts/system-packages.sh ffmpeg=ffmpeg chromium=chromium node=nodejs npm=npm
	npm ci --silent --no-audit --no-fund --prefix tests/players
	$(BIN)/python -m pytest -m long $(ARGS)
	$(BIN)/python -m tests.sim.many --seeds $(or $(SEEDS),500) --first 10000
	$(BIN)/python -m tests.soak --seconds $(or $(SECONDS),1800)

fuzz: $(VENV)/.dev ## hostile bytes for every reader; TARGET=name, SECONDS=N for each
	@$(PIP) 'atheris>=2.3' || echo "no atheris for this machine: mutations go without coverage"
	$(BIN)/python -m tests.fuzz $(or $(TARGET),all) --seconds $(or $(SECONDS),60)

bench: $(VENV)/.dev ## ratios against nginx and plain FFmpeg; what a crowd of waiters costs
	@sh scripts/system-packages.sh nginx=nginx-light wrk=wrk ffmpeg=ffmpeg
	$(BIN)/python -m bench.delivery
	$(BIN)/python -m bench.dvr
	$(BIN)/python -m bench.encoding
	$(BIN)/python -m bench.governor
	$(BIN)/python -m bench.low_latency
	$(BIN)/python -m bench.manager
	$(BIN)/python -m bench.memory
	$(BIN)/python -m bench.overload
	$(BIN)/python -m bench.relay
	$(BIN)/python -m bench.relay_start
	$(BIN)/python -m bench.twin
	$(BIN)/python -m bench.waiters

lock: $(VENV)/.dev ## pin what pyproject.toml asks for
	$(PIP) pip-tools
	$(BIN)/pip-compile -q --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
		--no-annotate --no-header --output-file requirements.lock pyproject.toml
	$(BIN)/pip-compile -q --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
		--no-annotate --no-header --extra dev --output-file requirements-dev.lock pyproject.toml

clean: ## forget what was built
	rm -rf $(VENV) .fuzz build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The commands of this repository; `make` alone lists them.
#
# Everything is built in one profile, so that the long builds happen once.
# CARGO_TARGET_DIR, where it is set, says where.

target := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help demo test test-all test-long lint dashboard screenshots bench bench-peers clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: ## Install what is missing, then show a shop's orders become delivered invoices
	@scripts/demo

test: ## Install what is missing, then run every test
	scripts/setup test
	cargo build --release --workspace --all-targets
	UPSHOT_TEST_BINARY=$(abspath $(target))/release/upshot cargo test --release --workspace
	# The queue once more, against a cluster of three masters.
	UPSHOT_TEST_REDIS=cluster cargo test --release --workspace --test conformance

test-all: test ## Every test, a scaled mail outage, API, events and alarms held against what they promise, a short proof
	scripts/setup test-all
	UPSHOT_TEST_BINARY=$(abspath $(target))/release/upshot cargo test --release --workspace --test long
	scripts/test-api
	scripts/test-asyncapi
	scripts/test-login
	scripts/test-rules
	scripts/test-webhook
	scripts/test-dashboard
	scripts/prove 3000 4
	# Programs with fewer features than the workspace has together.
	cargo test --release -p custom-handler
	cargo test --release -p upshot-api --test api no_store
	for feature in files mail oidc pdf webhook; do cargo build --release -p upshot --features $$feature || exit; done

test-long: ## Compare the queue with its model in many more random runs, each time others
	scripts/setup test
	UPSHOT_MODEL_SEED=$${UPSHOT_MODEL_SEED:-$$(date +%s)000000} UPSHOT_MODEL_RUNS=$${UPSHOT_MODEL_RUNS:-100000} \
		cargo test --release -p upshot-queue --test model -- --nocapture

lint: ## Check formatting, code, and Lua and shell scripts
	cargo fmt --check
	cargo clippy --release --workspace --all-targets -- -D warnings
	@if command -v luacheck >/dev/null; then \
		echo luacheck; \
		UPSHOT_LUA_DIR=$(abspath $(target))/lua cargo test --quiet --release --workspace --lib -- composed_scripts >/dev/null && \
		luacheck --quiet --config queue/.luacheckrc $(target)/lua/*.lua; \
	fi
	@echo 'a program of a team builds no PDF, mail or files'
	@! cargo tree --package custom-handler --edges normal,build --prefix none | grep -E '^(typst|lettre|object_store)'
	@if command -v shellcheck >/dev/null; then \
		echo shellcheck; shellcheck scripts/* .ci/run servers/src/tether.sh; \
	fi
	@if command -v npm >/dev/null; then \
		echo 'the dashboard'; scripts/check-dashboard; \
	fi

dashboard: ## Build the dashboard anew into dashboard/dist, which is committed
	scripts/check-dashboard --write

screenshots: ## Write every screen of the dashboard to docs/screenshots/
	scripts/setup test-all
	cargo build --release --workspace --bins
	scripts/test-dashboard --screenshots

bench: ## Measure throughput, latency and memory; writes target/bench.json
	scripts/setup test
	CARGO_INCREMENTAL=0 cargo build --release --workspace --bins
	$(target)/release/upshot-bench

bench-peers: ## Install BullMQ, then measure all of it in turns with Upshot
	scripts/setup peers
	CARGO_INCREMENTAL=0 cargo build --release --workspace --bins
	$(target)/release/upshot-bench --peers

clean: ## Remove what was built, and the demo's data
	cargo clean
	rm -rf .upshot

# Everything that is run on this project. `make test` is what has to pass.

CARGO ?= cargo
SECONDS_PER_RUN ?= 2

SECONDS ?= 600
SEED ?= 1

.PHONY: all test lint deps chaos chaos-selftest million bench bench-delivery bench-placement demo clean

all:
	$(CARGO) build --release

# Format, lints, unit, property and end-to-end tests. Installs what the tests use (nginx, ...) if it is missing.
test: deps lint
	$(CARGO) test --all-targets --no-fail-fast
	$(CARGO) test --doc
	# Mounts small file systems, in a mount namespace of its own: a really full disk, and one without attributes.
	$(CARGO) test --test store real_file_systems -- --ignored

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings

deps:
	tools/install-test-deps

# Five nodes, and everything that may go wrong: do they keep every promise? `make test` has a minute of it.
chaos: deps
	WEBDFS_CHAOS_SECONDS=$(SECONDS) WEBDFS_CHAOS_SEED=$(SEED) $(CARGO) test --test chaos five_nodes -- --nocapture

# Breaks promises on purpose, with a fresh seed, and shows that the machine notices each within two minutes.
chaos-selftest: deps
	WEBDFS_CHAOS_HUNT=1 $(CARGO) test --test chaos noticed -- --nocapture --test-threads=1
	$(CARGO) test --test crash_selftest

# The memory of a pass and a scrub over a million files, on two nodes. Wants 4 GB of disk and two million inodes; minutes.
million: deps
	$(CARGO) test --test agent a_million -- --ignored --nocapture --test-threads=1

# Ratios against other programs, each pair measured alternately in one run. Takes some minutes; wants a quiet machine.
bench: deps
	tools/install-test-deps bench
	$(CARGO) build --release
	WEBDFS_BENCH_SECONDS=$(SECONDS_PER_RUN) $(CARGO) bench --bench serve

# What is the fastest way to deliver a file of each size, for each web server: what decides the defaults. Seven minutes.
bench-delivery: deps
	tools/install-test-deps bench
	$(CARGO) build --release
	WEBDFS_BENCH_ROWS=x WEBDFS_BENCH_SECONDS=$(SECONDS_PER_RUN) $(CARGO) bench --bench serve

# Nanoseconds per lookup, and ratios, with the C code of CRUSH as one of the sides. No network, no web server.
bench-placement:
	tools/install-test-deps bench
	$(CARGO) bench --bench placement --features crush-c

demo:
	$(CARGO) run --release -- demo

clean:
	$(CARGO) clean

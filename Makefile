# Everything that is run on this project. `make test` is what has to pass.

CARGO ?= cargo
SECONDS_PER_RUN ?= 2

SECONDS ?= 600
SEED ?= 1

.PHONY: all test lint deps chaos chaos-selftest million growth spread bench bench-delivery bench-placement demo clean

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

# Five to eight nodes, and everything that may go wrong while the map changes: do they keep every promise? `make test` has a minute of it.
chaos: deps
	WEBDFS_CHAOS_SECONDS=$(SECONDS) WEBDFS_CHAOS_SEED=$(SEED) $(CARGO) test --test chaos five_nodes -- --nocapture

# Breaks promises on purpose, with a fresh seed, and shows that the machine notices each within two minutes.
chaos-selftest: deps
	WEBDFS_CHAOS_HUNT=1 $(CARGO) test --test chaos noticed -- --nocapture --test-threads=1
	$(CARGO) test --test crash_selftest

# The memory of a pass and a scrub over a million files, on two nodes, and of a pass in a large cluster; and a docroot of a million files that is adopted and
# spread over three. Wants 12 GB of disk and three million inodes; half an hour.
million: deps
	$(CARGO) test --test agent -- --ignored --nocapture --test-threads=1
	$(CARGO) test --release --test growth a_docroot_of_a_million -- --ignored --nocapture

# What it costs a site under load when its cluster grows and shrinks, in figures. Five minutes; wants a quiet machine.
growth: deps
	$(CARGO) test --release --test growth -- --ignored --nocapture --test-threads=1 a_site the_cost

# How long a new map takes to be on all of twenty nodes, with gossip and without. Some minutes.
spread: deps
	$(CARGO) test --test gossip_cluster twenty_nodes -- --ignored --nocapture

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

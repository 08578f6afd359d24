# The commands people type here. `just` lists them; every recipe runs with what scripts/setup prepared.

set shell := ["scripts/with-env", "bash", "-euo", "pipefail", "-c"]

# List the recipes
default:
    #!/bin/sh
    exec just --list --unsorted

# Bring this machine to where everything builds (--libtorch, --no-libtorch, --cuda)
setup *arguments:
    ./scripts/setup {{ arguments }}

# Set-up, release build, and a node in the folder data: a chain that trains (arguments go to polai up)
devnet *arguments:
    ./scripts/devnet {{ arguments }}

# Every check and the short tier of tests, as CI does; --long adds kills, soaks, big clusters
test *arguments:
    ./scripts/test {{ arguments }}

# Only the tests, without set-up and lints; arguments go to nextest
unit *arguments:
    cargo nextest run --workspace {{ arguments }}

# pol-reth, the custom Reth: build, lints, tests, whole nodes (20 minutes the first time, on 2 cores)
test-reth *arguments:
    ./scripts/test-reth {{ arguments }}

# Format the Rust code
fmt:
    cargo fmt --all

# Lints: rustfmt, clippy, shellcheck, hadolint
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    shellcheck -x scripts/devnet scripts/polai scripts/setup scripts/test scripts/test-reth scripts/with-env scripts/lib/*.sh patches/lighthouse/regenerate .ci/run docker/health testing/e2e/confine.sh
    hadolint --config docker/hadolint.yaml docker/Dockerfile docker/*.Dockerfile

# API documentation, warnings are errors
doc *arguments:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked {{ arguments }}

# Dependencies: bans, licences, sources, known vulnerabilities (needs network)
deny:
    cargo deny --locked check

# Rules about the repository itself
tidy:
    cargo nextest run --workspace --no-tests fail -E 'package(tidy)'

# Speed of the rules, as the table that README carries
bench-core:
    cargo bench -p pol-core --bench core

# Speed of the DHT on loopback, against its targets: all of it, or `just bench-dht ack --nodes 10`; exit code 1 when one is missed
bench-dht *arguments:
    cargo bench -p pol-dht --bench dht -- {{ arguments }}

# Slots, epochs and blocks of the beacon chain, as a table
bench-beacon:
    cargo bench -p pol-beacon --bench transition
    cargo bench -p pol-beacon --bench node

# What the execution client is held to: imports, seals, payloads, calls, memory
bench-execution:
    cargo bench -p pol-execution --bench chain

# Engine API calls of pol-reth beside pol-execution's, and 1,000 blocks over devp2p (after `just test-reth`, or with POLAI_RETH_BIN)
bench-reth:
    ./scripts/test-reth --bench

# Training, losses and memory of ml-sidecar beside transformers and PEFT, against the targets (--patience SECONDS on a busy machine)
bench-ml *arguments:
    cargo run --release -p pol-parity --bin bench-ml -- {{ arguments }}

# How fast texts of parquet files are read, and with how much memory, as a table
bench-data:
    cargo bench -p ml-sidecar --bench data

# What gate, caps and aggregation do against attackers, as a table (--rounds 10)
bench-attacks *arguments:
    cargo run --release -p ml-sidecar --example attacks -- {{ arguments }}

# Write docs/METRICS.md anew, from what the processes of a running node serve
docs-metrics:
    cargo build --workspace --bins
    "$CARGO_TARGET_DIR/debug/docs-metrics"

# A whole node against what it is held to, as a table: just bench-e2e 50 (updates); some ten minutes, on a quiet machine
bench-e2e updates="50":
    cargo build --release --workspace --bins
    "$CARGO_TARGET_DIR/release/bench-e2e" {{ updates }}

# Write the golden vectors anew with the independent Python programs
vectors:
    "$POLAI_CACHE/vectors-venv/bin/python" testing/vectors/generate.py
    "$POLAI_CACHE/vectors-venv/bin/python" testing/beacon-diff/generate.py

# Check that the Python programs still give the golden vectors
vectors-check:
    "$POLAI_CACHE/vectors-venv/bin/python" testing/vectors/generate.py --check
    "$POLAI_CACHE/vectors-venv/bin/python" testing/beacon-diff/generate.py --check

# The patches for Lighthouse: their form, and whether they apply (--lighthouse DIR, or LIGHTHOUSE_DIR)
patches *arguments:
    cargo run --locked --quiet -p pol-patches -- {{ arguments }}

# Fuzz one target (needs a nightly toolchain and cargo-fuzz); what it finds grows a corpus that git ignores
fuzz target seconds="60":
    mkdir -p testing/fuzz/cargo-fuzz/corpus/{{ target }}
    cargo +nightly fuzz run --fuzz-dir testing/fuzz/cargo-fuzz {{ target }} testing/fuzz/cargo-fuzz/corpus/{{ target }} testing/fuzz/seeds/{{ target }} -- -max_total_time={{ seconds }}

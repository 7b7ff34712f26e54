#!/usr/bin/env bash
# Processor time per request of whole servers under load: the same app bare, with our middleware, and with the peers'.
# Needs Linux and wrk. `benches/load.sh --help` lists the options, such as --rounds and --seconds.
set -euo pipefail
if ! command -v wrk >/dev/null; then
    echo 'load.sh: wrk is not installed; on Debian or Ubuntu: apt-get install wrk' >&2
    exit 1
fi
benches=(--quiet --profile bench --manifest-path "$(dirname "$0")/../Cargo.toml" -p benches)
cargo build "${benches[@]}" --bin server
# It stops the servers that it started, however it ends itself.
exec cargo run "${benches[@]}" --bin compare -- load "$@"

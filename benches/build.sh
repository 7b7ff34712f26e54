#!/bin/sh
# What it costs an application to build with metrics-actix: an app with one route, with and without it, each built cold
# for release. Prints wall-clock and processor time and the size of the stripped program for each round, and the medians
# of the rounds' ratios. Rounds alternate, and so does which of the two is built first.
#
# usage: benches/build.sh [ROUNDS [FEATURES]]
#
# ROUNDS is 3 by default; a round takes minutes. FEATURES are those of metrics-actix, separated by commas, besides the
# default ones. On a machine that builds something else at the same time, only the processor time says anything.
set -eu

rounds=${1:-3}
features=${2:-}
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

app() { # name, dependencies
    mkdir -p "$work/$1/src"
    cat > "$work/$1/Cargo.toml" <<END
[package]
name = "app"
version = "0.1.0"
edition = "2024"

[dependencies]
actix-web = "4"
$2

[profile.release]
strip = true

[workspace]
END
    cp "$root/Cargo.lock" "$work/$1"
    cat > "$work/$1/src/main.rs"
    (cd "$work/$1" && cargo fetch --quiet)
}

app bare '' <<'END'
use actix_web::{App, HttpServer, web};

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let app = || App::new().route("/orders/{id}", web::get().to(async || "ordered"));
    HttpServer::new(app).bind(("127.0.0.1", 8080))?.run().await
}
END

list=$(printf '%s' "$features" | sed 's/[^,][^,]*/"&"/g')
app ours "metrics-actix = { path = \"$root/metrics-actix\", features = [$list] }" <<'END'
use actix_web::{App, HttpServer, web};

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let metrics = metrics_actix::Metrics::builder("orders").build()?;
    let app = move || {
        App::new()
            .configure(metrics.routes("/api/metrics"))
            .route("/orders/{id}", web::get().to(async || "ordered"))
            .wrap(metrics.middleware())
    };
    HttpServer::new(app).bind(("127.0.0.1", 8080))?.run().await?;
    Ok(())
}
END

build() { # name; prints: name, wall-clock seconds, processor seconds, bytes
    rm -rf "$work/target"
    begun=$(date +%s.%N)
    # `times` counts the processes that this shell waited for: the second line is that of its children.
    spent=$(cd "$work/$1" && sh -c 'cargo build --release --offline --quiet >&2 && times' \
        | tail -n 1 | awk '{ for (i = 1; i <= 2; i++) { split($i, t, /[ms]/); sum += t[1] * 60 + t[2] } print sum }')
    ended=$(date +%s.%N)
    bytes=$(wc -c < "$work/target/release/app")
    echo "$1 $begun $ended $spent $bytes" | awk '{ printf "%s %.1f %.1f %d\n", $1, $3 - $2, $4, $5 }'
}

export CARGO_TARGET_DIR="$work/target" CARGO_INCREMENTAL=0
unset RUSTFLAGS CARGO_PROFILE_RELEASE_DEBUG 2>/dev/null || true

round=1
while [ "$round" -le "$rounds" ]; do
    if [ $((round % 2)) -eq 1 ]; then order='bare ours'; else order='ours bare'; fi
    for name in $order; do
        result=$(build "$name")
        echo "round $round: $result" >&2
        echo "$round $result"
    done
    round=$((round + 1))
done | awk '
    function median(values, count,    i, j, swap) {
        for (i = 2; i <= count; i++)
            for (j = i; j > 1 && values[j - 1] > values[j]; j--) {
                swap = values[j]; values[j] = values[j - 1]; values[j - 1] = swap
            }
        return count % 2 ? values[(count + 1) / 2] : (values[count / 2] + values[count / 2 + 1]) / 2
    }
    { wall[$2, $1] = $3; processor[$2, $1] = $4; bytes[$2] = $5; if ($1 > rounds) rounds = $1 }
    END {
        for (i = 1; i <= rounds; i++) {
            w[i] = wall["ours", i] / wall["bare", i]
            p[i] = processor["ours", i] / processor["bare", i]
        }
        printf "wall-clock time, ours / bare: %.3f (%.3f to %.3f)\n", median(w, rounds), w[1], w[rounds]
        printf "processor time, ours / bare: %.3f (%.3f to %.3f)\n", median(p, rounds), p[1], p[rounds]
        printf "stripped program: %.2f MB bare, %.2f MB ours, %+.2f MB\n", \
            bytes["bare"] / 1e6, bytes["ours"] / 1e6, (bytes["ours"] - bytes["bare"]) / 1e6
    }'

#!/usr/bin/env bash
# sqlx 0.9.0: a pool is to be opened to a port of PostgreSQL at which nobody listens.
#
# Seen: the pool tries for the whole `acquire_timeout` and then says only that it timed out; that each attempt was refused is in no part
#       of the error, nor in its sources. One connection by itself says at once that it was refused.
# Guess: what is refused is told as refused, at once or with the time-out.
# Matters: "no connection in time" sends an operator to look at load and pool sizes when the address is wrong or the server is down, after
#       a wait that a supervisor may take for a hang. Open one plain connection before the pool, and tell what that says.
#
# Needs cargo. Ends with 1 when this has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/src" && cd "$work"
cat >Cargo.toml <<'END'
[package]
name = "refused"
version = "0.0.0"
edition = "2021"
[dependencies]
sqlx = { version = "=0.9.0", default-features = false, features = ["postgres", "runtime-tokio"] }
tokio = { version = "1", features = ["rt", "macros"] }
END
cat >src/main.rs <<'END'
use std::{error::Error as _, net::TcpListener, time::{Duration, Instant}};

use sqlx::{ConnectOptions, postgres::{PgConnectOptions, PgPoolOptions}};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let options = PgConnectOptions::new().host("127.0.0.1").port(port).username("nobody");
    let began = Instant::now();
    let alone = options.connect().await.unwrap_err();
    println!("one connection after {} s: {alone}", began.elapsed().as_secs());
    let began = Instant::now();
    let pool = PgPoolOptions::new().acquire_timeout(Duration::from_secs(3)).connect_with(options).await.unwrap_err();
    println!("a pool after {} s: {pool}", began.elapsed().as_secs());
    let (mut told, mut source) = (pool.to_string(), pool.source());
    while let Some(inner) = source {
        told += &inner.to_string();
        source = inner.source();
    }
    let refused = |error: &sqlx::Error| matches!(error, sqlx::Error::Io(inner) if inner.kind() == std::io::ErrorKind::ConnectionRefused);
    let seen = refused(&alone)
        && matches!(pool, sqlx::Error::PoolTimedOut)
        && began.elapsed() >= Duration::from_secs(3)
        && !told.contains("refused");
    std::process::exit(if seen { 0 } else { 1 });
}
END
cargo run --quiet || { echo 'this has changed'; exit 1; }

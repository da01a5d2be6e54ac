#!/usr/bin/env bash
# sqlx 0.9.0 on PostgreSQL: the future of `pool.begin()` is dropped before it is done, as by a timeout or a client that hangs up.
#
# Seen: the connection goes back to the pool inside the transaction that was begun. The next plain statement through the pool answers
#       Ok with one row; no other connection ever sees that row, and when the pool is closed in good order it is gone.
# Guess: a dropped `begin` is undone, as a dropped `Transaction` is, or the connection is closed. `begin` has a guard for that; the
#       guard asks for the depth of the transaction, which is raised only behind the await at which it is dropped.
# Matters: writes that were answered with success are lost without an error, and not those of the request that was given up but of
#       whoever comes next. A server has to begin in a task that nobody drops.
#
# Needs cargo, and PostgreSQL's initdb and pg_ctl (found by pg_config); no server has to run. Ends with 1 when this has changed.
set -euo pipefail
bin=$(pg_config --bindir)
work=$(mktemp -d)
as() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }
trap 'as "$bin/pg_ctl" -D "$work/data/pg" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
chmod 755 "$work" && mkdir "$work/data"
if [ "$(id -u)" = 0 ]; then chown postgres "$work/data"; fi
as "$bin/initdb" -D "$work/data/pg" -U postgres -A trust >/dev/null
as "$bin/pg_ctl" -D "$work/data/pg" -o "-k $work/data -c listen_addresses=" -w start >/dev/null
mkdir -p "$work/program/src" && cd "$work/program"
cat >Cargo.toml <<'END'
[package]
name = "dropped"
version = "0.0.0"
edition = "2021"
[dependencies]
sqlx = { version = "=0.9.0", default-features = false, features = ["postgres", "runtime-tokio"] }
tokio = { version = "1", features = ["rt", "macros"] }
END
cat >src/main.rs <<'END'
use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use sqlx::{Executor, PgPool, postgres::PgPoolOptions};

/// Polls a future once and drops it; whether it was done by then.
async fn polled_once<F: Future>(future: F) -> bool {
    let mut future = pin!(future);
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await
}

async fn rows(pool: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM t").fetch_one(pool).await.unwrap()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let url = std::env::args().nth(1).unwrap();
    let other = PgPoolOptions::new().connect(&url).await.unwrap();
    other.execute("CREATE TABLE t (n int)").await.unwrap();
    // One connection that is there, and no ping before it is lent: what is sent first is BEGIN.
    let pool = PgPoolOptions::new().min_connections(1).max_connections(1).test_before_acquire(false);
    let pool = pool.connect(&url).await.unwrap();
    println!("begin was done: {}", polled_once(pool.begin()).await);
    let written = pool.execute("INSERT INTO t VALUES (1)").await.map(|done| done.rows_affected());
    println!("the next INSERT says: {written:?}");
    println!("the same pool sees {}, another connection {}", rows(&pool).await, rows(&other).await);
    pool.close().await;
    println!("after the pool was closed there are {}", rows(&other).await);
}
END
CARGO_TARGET_DIR="$work/target" cargo build --quiet
"$work/target/debug/dropped" "postgres:///postgres?host=$work/data&user=postgres" | tee "$work/seen"
diff "$work/seen" - <<'END'
begin was done: false
the next INSERT says: Ok(1)
the same pool sees 1, another connection 0
after the pool was closed there are 0
END
echo "as described"

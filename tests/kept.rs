//! Connections that are kept between reads: none is lost, nobody waits for ever, and one that died is replaced.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend};
use serde_json::json;

use crate::{
    reads::{World, worlds},
    support::{app::TestApp, client::Caller},
};

const QUERY: &str = "{ contacts(first: 3) { nodes { id email } } }";

async fn caller(test: &TestApp) -> Caller {
    test.caller("marketing", "newsletter").await
}

/// Connections of the readers that somebody works with, once nobody asks any more.
async fn in_use(test: &TestApp) -> u32 {
    for _ in 0..50 {
        if test.app.db.pools()[0].in_use == 0 {
            return 0;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    test.app.db.pools()[0].in_use
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_who_read_at_once_get_their_turn_and_give_it_back() {
    for World { test, client } in worlds().await {
        let caller = caller(&test).await;
        let expected = client.ask_with(&caller, QUERY, json!({})).await;
        assert!(expected["data"]["contacts"]["nodes"][0]["id"].is_string(), "{expected}");
        for round in 0..3 {
            let asked = (0..64).map(|number| {
                let (client, caller) = (&client, &caller);
                async move {
                    let asked = client.ask_with(caller, QUERY, json!({}));
                    // Some hang up, each at another moment.
                    let patience = if number % 4 == 0 { number * 50 } else { 60_000_000 };
                    tokio::time::timeout(Duration::from_micros(patience), asked).await.ok()
                }
            });
            let answers = async_graphql::futures_util::future::join_all(asked).await;
            let answered: Vec<_> = answers.into_iter().flatten().collect();
            assert!(answered.len() >= 48, "{} of round {round}", answered.len());
            assert!(answered.iter().all(|answer| *answer == expected), "{answered:?}");
            assert_eq!(in_use(&test).await, 0);
        }
        let pool = test.app.db.pools()[0];
        assert!(pool.idle <= pool.largest, "{pool:?}");
    }
}

#[tokio::test]
async fn connections_that_died_are_replaced() {
    for World { test, client } in worlds().await {
        let caller = caller(&test).await;
        if test.app.db.backend() == DbBackend::Sqlite {
            assert!(test.app.db.connection_cache.is_none());
            continue;
        }
        let expected = client.ask_with(&caller, QUERY, json!({})).await;
        assert_eq!(test.app.db.connection_cache.as_ref().unwrap().idle(), 1);
        test.app
            .db
            .writer
            .execute_unprepared(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )
            .await
            .unwrap();
        // What has been idle for a second is not trusted any more.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        for _ in 0..3 {
            assert_eq!(client.ask_with(&caller, QUERY, json!({})).await, expected);
        }
    }
}

#[tokio::test]
async fn a_pool_that_is_closed_gets_its_connections_back() {
    for World { test, client } in worlds().await {
        client.ask_with(&caller(&test).await, QUERY, json!({})).await;
        let closed = test.app.db.reader.close_by_ref();
        tokio::time::timeout(Duration::from_secs(5), closed).await.unwrap().unwrap();
    }
}

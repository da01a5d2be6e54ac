//! The one integration-test binary.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests fail by panicking, print why they skip, and nobody reads their documentation"
)]

mod arrows;
mod audits;
mod changes;
mod chinook;
mod clients;
mod closed_keys;
mod commands;
mod configs;
mod database;
mod demo;
mod docs;
mod duplicates;
mod durability;
mod exports;
mod failover;
mod floors;
mod golden;
mod graphiql;
mod graphql_ws;
mod hostile;
mod hostile_http;
mod http;
mod imports;
mod imports_consents;
mod imports_lists;
mod imports_noes;
mod imports_objections;
mod imports_undone;
mod imports_updates;
mod kept;
mod keys;
mod limits;
mod logs;
mod mails;
mod management;
mod messages;
mod names;
mod noes;
mod noninterference;
mod numbering;
mod oidc;
mod old_names;
mod outage;
mod pages;
mod plans;
mod policy;
mod poolers;
mod preference_links;
mod reads;
mod receipts;
mod reference;
mod reference_pages;
mod relays;
mod reload;
mod repeats;
mod restores;
mod rotations;
mod schema;
mod settings;
mod shutdown;
mod signups;
mod sockets;
mod stops;
mod support;
mod suppression_reviews;
mod suppressions;
mod timing;
mod tokens;
mod vcards;
mod visibility;
mod writes;

//! Zweck: a CRM core in which every field is read for a purpose, by a role, on a legal basis that holds for that very person.
//!
//! A module is a room; a room imports only those above it in the table of ARCHITECTURE.md (`tests/floors.rs`).

pub mod app;
pub mod audit;
pub mod auth;
pub mod base;
#[cfg(feature = "bench")]
pub mod bench;
pub mod config;
pub mod crypto;
pub mod db;
pub mod demo;
pub mod domain;
pub mod engine;
pub mod exchange;
pub mod graphql;
pub mod http;
pub mod jobs;
pub mod policy;
pub mod registry;

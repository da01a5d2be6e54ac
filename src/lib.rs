//! Zweck: a CRM core in which every field is read for a purpose, by a role, on a legal basis that holds for that very person.

pub mod config;
pub mod context;
pub mod db;
pub mod error;
pub mod fold;
pub mod governed;
pub mod graphql;
pub mod http;
pub mod imports;
pub mod policy;
pub mod purposes;
pub mod register;
pub mod tokens;

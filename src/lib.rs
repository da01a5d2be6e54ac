//! Zweck: a CRM core in which every field is read for a purpose, by a role, on a legal basis that holds for that very person.

pub mod audit;
pub mod config;
pub mod consents;
pub mod contacts;
pub mod context;
pub mod db;
pub mod declarations;
pub mod demo;
pub mod error;
pub mod exports;
pub mod fold;
pub mod formulas;
pub mod governed;
pub mod graphql;
pub mod grounds;
pub mod http;
pub mod imports;
pub mod objections;
pub mod policy;
pub mod purposes;
pub mod recipients;
pub mod register;
pub mod requests;
pub mod sealing;
pub mod tokens;
pub mod watch;

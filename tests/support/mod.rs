//! What tests share.

pub mod app;
pub mod client;
pub mod database;
pub mod dump;
pub mod world;

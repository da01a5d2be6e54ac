//! Keys: master keys, installation keys, sealing per person and category, link tokens. This room decides nothing.
//! Room: crypto.

pub mod installation_keys;
pub mod link_tokens;
pub mod master_keys;
pub mod sealing;

//! Keys: of the master and the installation, sealing per person and category, tokens of links. It decides nothing. Room: crypto.

pub mod installation_keys;
pub mod link_tokens;
pub mod master_keys;
pub mod sealing;

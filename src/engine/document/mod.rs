//! The document of a request: limits of its text, its complexity, its operation, arguments and inputs.
//! Room: engine/document.

pub(in crate::engine) mod arguments;
pub(in crate::engine) mod complexity;
pub(in crate::engine) mod input;
pub(in crate::engine) mod lexer_limits;
pub(in crate::engine) mod operation;

//! A document as it came: limits of its text, its cost in depth and fields, its operation, its arguments and inputs. Room: engine/document.

pub(in crate::engine) mod arguments;
pub(in crate::engine) mod complexity;
pub(in crate::engine) mod input;
pub(in crate::engine) mod lexer_limits;
pub(in crate::engine) mod operation;

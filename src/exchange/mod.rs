//! Files in and out: imports, exports, duplicates. Contacts are read as a client of `graphql` reads them.
//! Room: exchange.

pub mod contact_pages;
pub mod duplicates;
pub mod exports;
pub mod imports;

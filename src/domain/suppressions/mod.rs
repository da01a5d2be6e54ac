//! The suppression list (Werbesperre): addresses that must not be advertised to, as keyed digests. Room: domain/suppressions.
//!
//! An address can be recognised here and not read. An entry belongs to nobody, so that it stays when a person is erased
//! (Art. 17(3)(b), 21(3)): what was declared until its `since` does not count, a later declaration of the person does. It ends with the
//! purpose (`reviews`). What the list says of an address stands on every record of it as a block (`blocks`), carried there in the transaction
//! that brings the address or the no.

mod blocks;
mod declared;
mod digests;
mod duties;
mod entries;
mod lookup;
mod meeting;
mod reviews;
mod statements;
mod yeses;

pub use blocks::{bring, close, compare, lift, lift_all, rows_of};
pub use declared::Declared;
pub use duties::{owe, told_digest};
pub use entries::declare;
pub use lookup::{Found, Listed, find, is_advertising, look, of_contact, refuse};
pub use meeting::{Meant, Whom, meet, with_identities};
pub use reviews::{Overview, Part, is_due, overview, review};
pub use yeses::{Question, knows};

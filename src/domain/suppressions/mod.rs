//! The suppression list (Werbesperre): addresses that must not be advertised to, stored as keyed digests.
//! Room: domain/suppressions.
//!
//! An address can be recognised but not read. An entry belongs to nobody, so it survives the erasure of a person
//! (Art. 17(3)(b), 21(3)): declarations up to its `since` do not count, later ones do. It ends with the purpose
//! (`reviews`). On every record with the address it appears as a block (`blocks`), created in the transaction that
//! adds the address or the opt-out.

mod blocks;
mod digests;
mod entries;
mod known_entries;
mod lookup;
mod opt_out_declaration;
mod reviews;
mod statements;
mod stop_duties;
mod targets;

pub use blocks::{apply_to_new_addresses, block_channel, block_rows, lift_block, lift_blocks, reapply};
pub use entries::declare;
pub use known_entries::{KnownEntryQuery, is_already_listed};
pub use lookup::{
    Suppression, SuppressionMatches, declared_for_contact, find, is_advertising, lookup, reject_suppressed,
};
pub use opt_out_declaration::OptOutDeclaration;
pub use reviews::{Overview, OverviewPart, is_due, overview, review};
pub use stop_duties::{address_digest, create_stops_for_contacts};
pub use targets::{Affected, Target, contacts_with_addresses, find_and_lock};

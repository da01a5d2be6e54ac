//! The suppression list (Werbesperre): addresses that must not be advertised to, as keyed digests. Room: domain/suppressions.
//!
//! An address can be recognised here and not read. An entry belongs to nobody, so that it stays when a person is erased
//! (Art. 17(3)(b), 21(3)): what was declared until its `since` does not count, a later declaration of the person does. It ends with the
//! purpose (`reviews`). What the list says of an address stands on every record of it as a block (`blocks`), carried there in the transaction
//! that brings the address or the no.

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

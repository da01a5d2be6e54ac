//! Use cases that take several subjects of the domain: one function each, in the transaction of the caller. Room: domain/operations.
//!
//! The API, imports, sign-ups and the demo call these, so that none of them has to remember what must follow a write: an address that comes
//! to a contact is compared with the suppression list, consents follow an address that changes, a contact comes with its source and its
//! ground. A use case of one subject is the function of that subject.

mod new_contacts;

use entity::contact;
use uuid::Uuid;

pub use new_contacts::{CreationLog, NewContactRows, insert_contacts};

use crate::{
    audit::{LockMode, Transaction},
    auth::actor::Actor,
    base::error::{Code, Error},
    domain::{
        access_tokens, consents,
        contacts::{self, NewAddresses, NewContactPoint, Rectification, Source, Values},
        grounds::{self, NewGround},
        suppressions,
    },
    engine::Input,
    policy::Grounds,
    registry::ACCESS_TOKEN,
};

/// A contact to be created.
#[derive(Clone, Debug)]
pub struct NewContact {
    /// Its values.
    pub values: Values,
    /// Where they come from.
    pub source: Source,
    /// The fact that makes it lawful to keep them (Art. 6(1)).
    pub ground: Option<NewGround>,
}

impl NewContact {
    /// The contact that a `CreateContactInput` describes.
    ///
    /// # Errors
    /// As [`Source::from_input`].
    pub fn from_input(input: &Input, tx: &Transaction) -> Result<Self, Error> {
        let ground = input.nested("ground");
        Ok(Self {
            values: contacts::values_from_input(input),
            ground: ground.map(|ground| NewGround::from_input(ground, "input.ground")).transpose()?,
            source: Source::from_input(input.require_nested("source")?, tx.now())?,
        })
    }
}

/// Creates a contact with its source, its ground and the blocks that the suppression list has for its addresses.
///
/// # Errors
/// `BAD_USER_INPUT` where nothing identifies the person, where a ground is needed and missing, and where the list closes the purpose of the
/// ground for one of its addresses; those of [`NewGround::check`].
pub async fn create_contact(tx: &mut Transaction, actor: &Actor, new: &NewContact) -> Result<Uuid, Error> {
    match &new.ground {
        Some(ground) => ground.check(actor, tx.now())?,
        None if actor.purpose.as_ref().is_some_and(|purpose| purpose.grounds == Grounds::EveryContact) => {}
        None => {
            return Err(
                Error::bad_input("a contact needs a ground (Art. 6(1))").with_input_path("input.ground")
            );
        }
    }
    let id = tx.new_subject();
    create(tx, id, (&new.values, &new.source), new.ground.as_ref()).await?;
    Ok(id)
}

/// Creates the contact of a person who confirms a sign-up, under the `id` that the link stands for. Its ground is the consent that the
/// caller records next: what the suppression list says was declared before, so that the confirmation counts.
///
/// # Errors
/// `BAD_USER_INPUT` where nothing identifies the person.
pub async fn create_contact_of_sign_up(
    tx: &mut Transaction,
    id: Uuid,
    values: &Values,
    source: &Source,
) -> Result<(), Error> {
    create(tx, id, (values, source), None).await
}

async fn create(
    tx: &mut Transaction,
    id: Uuid,
    (values, source): (&Values, &Source),
    ground: Option<&NewGround>,
) -> Result<(), Error> {
    let (contact, provenance) = contacts::new_rows(tx, id, values, source)?;
    let addresses = NewAddresses::of_contact(tx.reader(), &contact, &[]);
    tx.lock_identities(addresses.locks(), LockMode::Shared).await?;
    let found = suppressions::lookup(tx, &addresses).await?;
    if let Some(ground) = ground {
        suppressions::reject_suppressed(&found, tx.policy(), &addresses, &ground.purpose)?;
    }
    let rows = NewContactRows {
        points: Vec::new(),
        sources: vec![provenance],
        ground: ground.map(|ground| ground.row(tx, id)),
        blocks: suppressions::block_rows(tx, id, &found.for_addresses(&addresses)),
        contact,
    };
    insert_contacts(tx, vec![rows], CreationLog::Separate).await
}

/// Rectifies a contact (Art. 16); its consents follow the addresses that change.
///
/// # Errors
/// As [`contacts::rectify`].
pub async fn rectify_contact(
    tx: &mut Transaction,
    actor: &Actor,
    change: &Rectification,
) -> Result<Uuid, Error> {
    let rectified = contacts::rectify(tx, actor, change).await?;
    consents::invalidate_after_rectification(tx, rectified).await?;
    Ok(change.id)
}

/// Adds a contact point; what the person and the suppression list say no to is closed for it as well.
///
/// # Errors
/// As [`contacts::add_point`].
pub async fn add_contact_point(
    tx: &mut Transaction,
    actor: &Actor,
    new: &NewContactPoint,
) -> Result<Uuid, Error> {
    let addresses = contacts::add_point(tx, actor, new).await?;
    consents::apply_to_new_addresses(tx, &addresses).await?;
    Ok(new.contact_id)
}

/// Records a ground of a contact that exists for the caller.
///
/// # Errors
/// `NOT_FOUND`; as [`grounds::record`].
pub async fn record_ground(
    tx: &mut Transaction,
    actor: &Actor,
    contact_id: Uuid,
    new: &NewGround,
) -> Result<Uuid, Error> {
    let contact: contact::Model = contacts::lock(tx, actor, contact_id).await?;
    grounds::record(tx, actor, contact.id, new).await
}

/// Revokes an access token that exists for the caller.
///
/// # Errors
/// `NOT_FOUND`; as [`access_tokens::revoke`].
pub async fn revoke_access_token(tx: &mut Transaction, actor: &Actor, id: Uuid) -> Result<(), Error> {
    if !tx.can_see(actor, &ACCESS_TOKEN, id).await? {
        return Err(Error::new(Code::NotFound, "there is no such token"));
    }
    access_tokens::revoke(tx, id).await
}

//! Recipients: to whom personal data is disclosed (Art. 4(9)). Room: domain.

mod uses;

use chrono::NaiveDate;
use entity::{
    enums::RecipientKind,
    recipient::{Entity, Model},
};
use uuid::Uuid;

pub use uses::Uses;

use crate::{
    audit::{Entry, Transaction},
    base::error::Error,
    engine::Input,
    registry::RECIPIENT,
};

/// A recipient to create.
#[derive(Clone, Debug)]
pub struct NewRecipient {
    /// Name.
    pub name: String,
    /// Role in the processing.
    pub kind: RecipientKind,
    /// Country of establishment.
    pub country: Option<String>,
    /// Basis of a transfer to a third country.
    pub transfer_mechanism: Option<String>,
    /// When the contract ends.
    pub contract_until: Option<NaiveDate>,
}

impl NewRecipient {
    /// The recipient that a `CreateRecipientInput` describes.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for a day that does not exist.
    pub fn from_input(input: &Input) -> Result<Self, Error> {
        let until: Option<Result<NaiveDate, _>> = input.text("contractUntil").map(str::parse);
        Ok(Self {
            name: input.require_string("name")?,
            kind: input.require_enum("kind")?,
            country: input.optional_string("country"),
            transfer_mechanism: input.optional_string("transferMechanism"),
            contract_until: until
                .transpose()
                .map_err(|_| input.invalid("contractUntil", "this is not a date"))?,
        })
    }
}

/// Creates a recipient.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn create(tx: &mut Transaction, new: NewRecipient) -> Result<Uuid, Error> {
    let model = Model {
        id: tx.new_subject(),
        name: new.name,
        kind: new.kind,
        country: new.country,
        transfer_mechanism: new.transfer_mechanism,
        contract_until: new.contract_until,
        created_at: tx.now(),
    };
    let changes = tx.insert::<Entity>(&RECIPIENT, &model).await?;
    tx.record(Entry {
        action: "createRecipient",
        entity_type: RECIPIENT.name,
        entity_id: Some(model.id),
        contact_id: None,
        changes,
    })
    .await?;
    Ok(model.id)
}

//! Keeps the purpose table in step with the policy, so that foreign keys and history hold (floor 4).

use entity::{
    enums::LegalBasis as Basis,
    purpose::{ActiveModel, Column, Entity},
};
use sea_orm::{
    ActiveValue::Set, EntityTrait, SqliteTransactionMode, TransactionOptions, TransactionTrait,
    sea_query::OnConflict,
};

use crate::{
    context::App,
    error::Error,
    policy::{LegalBasis, Policy, PurposeDef},
};

/// Writes the purposes of the policy in force, groups first, with its revision.
///
/// A purpose that has vanished from the policy keeps its row: consents and grounds refer to it, and what they were
/// given for must stay known (Art. 7(1)). Nobody can act under it any more, since the policy does not know it.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn sync(app: &App) -> Result<(), Error> {
    let policy = app.policy.current();
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..Default::default()
    };
    let transaction = app.db.writer.begin_with_options(options).await?;
    let (groups, kinds): (Vec<_>, Vec<_>) = policy.purposes().iter().partition(|purpose| purpose.is_group);
    for purpose in groups.into_iter().chain(kinds) {
        Entity::insert(row(app, &policy, purpose)?)
            .on_conflict(
                OnConflict::column(Column::Code)
                    .update_columns([
                        Column::TitleDe,
                        Column::TitleEn,
                        Column::DescriptionDe,
                        Column::DescriptionEn,
                        Column::LegalBasis,
                        Column::Grounds,
                        Column::Channels,
                        Column::GroupCode,
                        Column::IsGroup,
                        Column::DpvIri,
                        Column::Revision,
                        Column::LoadedAt,
                    ])
                    .to_owned(),
            )
            .exec_without_returning(&transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(())
}

fn row(app: &App, policy: &Policy, purpose: &PurposeDef) -> Result<ActiveModel, Error> {
    let channels: Vec<&str> = purpose.channels.iter().map(|channel| channel.as_str()).collect();
    let channels =
        serde_json::to_string(&channels).map_err(|_| Error::internal("channels could not be written"))?;
    Ok(ActiveModel {
        code: Set(purpose.code.clone()),
        title_de: Set(purpose.title_de.clone()),
        title_en: Set(purpose.title_en.clone()),
        description_de: Set(purpose.description_de.clone()),
        description_en: Set(purpose.description_en.clone()),
        legal_basis: Set(purpose.basis.map(basis)),
        grounds: Set(purpose.grounds.as_str().to_owned()),
        channels: Set(channels),
        group_code: Set(purpose.group.clone()),
        is_group: Set(purpose.is_group),
        dpv_iri: Set(purpose.dpv_iri.clone()),
        revision: Set(policy.revision().to_owned()),
        loaded_at: Set(app.now()),
    })
}

fn basis(basis: LegalBasis) -> Basis {
    match basis {
        LegalBasis::Consent => Basis::Consent,
        LegalBasis::Contract => Basis::Contract,
        LegalBasis::LegalObligation => Basis::LegalObligation,
        LegalBasis::VitalInterests => Basis::VitalInterests,
        LegalBasis::PublicTask => Basis::PublicTask,
        LegalBasis::LegitimateInterests => Basis::LegitimateInterests,
    }
}

//! Keeps the tables of purposes and consent texts in step with the policy, for foreign keys and history.
//! Room: domain/purposes.

use crate::{
    app::App,
    audit::{self, Author, ChangeSet, Entry, Transaction},
    base::error::{Code, Error},
    domain::access_tokens,
    policy::{LegalBasis, Policy, PolicyErrors, PurposeDef, Revisions, Sources},
    registry::{self, DataCategory},
};
use entity::{
    consent_text,
    enums::LegalBasis as Basis,
    purpose::{ActiveModel, Column, Entity},
};
use sea_orm::{ActiveValue::Set, EntityTrait, QueryOrder, QuerySelect, sea_query::OnConflict};

/// Writes the purposes of the policy in force, groups first, with its revision, and publishes its texts; an audit
/// entry holds both revisions. It does nothing if the tables are up to date.
///
/// A purpose that has vanished from the policy keeps its row: consents and grounds refer to it, and what they were
/// given for must stay known (Art. 7(1)). Nobody can act under it, since the policy does not know it. A published
/// text is immutable.
///
/// # Errors
/// `CONFLICT` if a published text was changed; `INTERNAL` from the database.
pub async fn sync(app: &App, actor: &str) -> Result<(), Error> {
    sync_tables(app, actor, &app.policy.current()).await
}

/// Why a policy is rejected.
#[derive(Debug, thiserror::Error)]
pub enum PolicyRejected {
    /// Its files are invalid: all errors.
    #[error("{0}")]
    Files(#[from] PolicyErrors),
    /// It cannot be written to the tables.
    #[error("{0}")]
    Tables(#[from] Error),
    /// Credentials use names that it does not know.
    #[error("{0}")]
    Credentials(String),
}

/// Loads another policy and puts it in force: first the tables, then the decisions, so that nothing refers to a
/// missing purpose. A policy that is rejected or unreadable leaves the old one in force, with an entry that says
/// so.
///
/// # Errors
/// All errors of the files, its own cases that fail, credentials with unknown names, a published text that was
/// changed, or the database.
pub async fn reload(
    app: &App,
    actor: &str,
    read: Result<Sources, PolicyErrors>,
) -> Result<Revisions, PolicyRejected> {
    let read = match read {
        Ok(sources) => Policy::load_proved(&sources, &registry::policy_objects()).await,
        Err(errors) => Err(errors),
    };
    let loaded = match read {
        Ok(policy) => apply(app, actor, policy).await,
        Err(errors) => Err(errors.into()),
    };
    match loaded {
        Ok(policy) => Ok(app.policy.replace(policy)),
        Err(error) => {
            let mut tx = audit::begin(app, Author::command(app, actor, None)).await?;
            tx.record(Entry {
                action: "refusePolicy",
                entity_type: "Policy",
                entity_id: None,
                contact_id: None,
                changes: ChangeSet::none(),
            })
            .await?;
            tx.commit().await?;
            Err(error)
        }
    }
}

/// Writes a policy to the tables, if all credentials stay usable: a name that the policy does not know would lock
/// its bearer out.
async fn apply(app: &App, actor: &str, policy: Policy) -> Result<Policy, PolicyRejected> {
    app.issuers.check(&policy).map_err(PolicyRejected::Credentials)?;
    let unknown_tokens = access_tokens::tokens_with_unknown_names(app, &policy).await?;
    if !unknown_tokens.is_empty() {
        let text = format!(
            "valid tokens name roles or purposes that it does not know and would be closed: {}; revoke or replace them first",
            unknown_tokens.join(", ")
        );
        return Err(PolicyRejected::Credentials(text));
    }
    sync_tables(app, actor, &policy).await?;
    Ok(policy)
}

async fn sync_tables(app: &App, actor: &str, policy: &Policy) -> Result<(), Error> {
    let author =
        Author { policy_revision: policy.revision().to_owned(), ..Author::command(app, actor, None) };
    let mut tx = audit::begin(app, author).await?;
    let stored: Vec<(String, String)> = Entity::find()
        .select_only()
        .column(Column::Code)
        .column(Column::Revision)
        .order_by_desc(Column::LoadedAt)
        .into_tuple()
        .all(tx.connection())
        .await?;
    let in_step = |purpose: &PurposeDef| {
        stored.iter().any(|(code, revision)| *code == purpose.code && revision == policy.revision())
    };
    if policy.purposes().iter().all(|purpose| in_step(purpose)) {
        return Ok(());
    }
    // The revision of the last load: a vanished purpose keeps the last revision that it was part of.
    let before = stored.into_iter().map(|(_, revision)| revision).next();
    let (groups, kinds): (Vec<_>, Vec<_>) = policy.purposes().iter().partition(|purpose| purpose.is_group);
    for purpose in groups.into_iter().chain(kinds) {
        Entity::insert(row(app, policy, purpose)?)
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
            .exec_without_returning(tx.connection())
            .await?;
    }
    publish(&tx, policy).await?;
    let changes = ChangeSet::single(
        "AuditEntry.policyRevision",
        DataCategory::Audit,
        before.into(),
        policy.revision().into(),
    );
    tx.record(Entry {
        action: "loadPolicy",
        entity_type: "Policy",
        entity_id: None,
        contact_id: None,
        changes,
    })
    .await?;
    tx.commit().await
}

/// Publishes the texts that are not published yet.
async fn publish(tx: &Transaction, policy: &Policy) -> Result<(), Error> {
    let published = consent_text::Entity::find().all(tx.connection()).await?;
    for text in policy.texts() {
        let existing = published.iter().find(|existing| {
            existing.purpose_code == text.purpose
                && existing.language == text.language
                && existing.version == text.version
        });
        match existing {
            Some(existing)
                if existing.sha256 == text.sha256() && existing.renew_within == text.renew_within => {}
            Some(_) => {
                let name = format!("{}/{}/{}", text.purpose, text.language, text.version);
                let message = format!(
                    "the published text `{name}`, or its `renew_within`, was changed; publish a new version instead"
                );
                return Err(Error::new(Code::Conflict, message));
            }
            None => {
                let row = consent_text::ActiveModel {
                    id: Set(tx.new_id()),
                    purpose_code: Set(text.purpose.clone()),
                    language: Set(text.language.clone()),
                    version: Set(text.version.clone()),
                    text: Set(text.text.clone()),
                    sha256: Set(text.sha256()),
                    published_at: Set(tx.now()),
                    renew_within: Set(text.renew_within.clone()),
                };
                consent_text::Entity::insert(row).exec_without_returning(tx.connection()).await?;
            }
        }
    }
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

//! Runs mutations: one transaction each, tried again where other writers were in the way. Room: graphql.
//!
//! The match below is the only way from a declared mutation to a function that writes; it names every one.

use crate::{
    app::App,
    audit::{self, Author, EntryTiming, Idempotency, Transaction},
    auth::actor::Actor,
    base::error::Error,
    domain::{
        access_tokens::{self, NewToken},
        consents::{self, NewConsent, Renewal, Withdrawal},
        contacts::{self, NewContactPoint, NewRestriction, Rectification, merge::Merge},
        grounds::{self, NewGround},
        merge,
        objections::{self, NewObjection},
        operations::{self, NewContact},
        recipients::{self, NewRecipient},
        requests::{self, NewRequest},
        signups, stops, suppressions,
    },
    engine::{Input, MutationResult, PlannedMutation},
    registry::MutationKind,
};

/// Runs the planned mutation, or changes nothing. Under an Idempotency-Key it runs once, and a repeat returns the same
/// outcome. Opt-outs are recorded even while the audit log cannot be written; their entries follow.
///
/// # Errors
/// Those of the function that writes; `CONFLICT` for a key that was used for another request; `INTERNAL` when other writers
/// were in the way to the end.
pub(super) async fn run(
    app: &App,
    actor: &Actor,
    root: &str,
    planned: &PlannedMutation,
    replay: Option<&Idempotency>,
) -> Result<(MutationResult, EntryTiming), Error> {
    if matches!(planned.mutation.kind, MutationKind::WithdrawConsent | MutationKind::RecordObjection) {
        return audit::with_deferred_entries(|timing| once(app, actor, root, (planned, timing), replay))
            .await;
    }
    let written =
        audit::with_retry(|| once(app, actor, root, (planned, EntryTiming::Immediate), replay)).await;
    Ok((written?, EntryTiming::Immediate))
}

async fn once(
    app: &App,
    actor: &Actor,
    root: &str,
    (planned, timing): (&PlannedMutation, EntryTiming),
    replay: Option<&Idempotency>,
) -> Result<MutationResult, Error> {
    let mut tx = audit::begin(app, Author::from(actor)).await?;
    tx.set_entry_timing(timing);
    let fault = || Error::internal("the outcome of a mutation");
    if let Some(replay) = replay
        && let Some(outcome) = tx.claim(app, replay, root).await?
    {
        return serde_json::from_slice(&outcome).map_err(|_| fault());
    }
    let written = write(app, actor, planned.mutation.kind, &planned.input, &mut tx).await;
    let written = written.map_err(|error| planned.input.with_used_names(error))?;
    if let Some(replay) = replay {
        let outcome = serde_json::to_vec(&written).map_err(|_| fault())?;
        tx.store_outcome(app, replay, root, &outcome).await?;
    }
    tx.commit().await?;
    Ok(written)
}

async fn write(
    app: &App,
    actor: &Actor,
    write: MutationKind,
    input: &Input,
    tx: &mut Transaction,
) -> Result<MutationResult, Error> {
    let id = |name: &str| input.require_id(name);
    Ok(match write {
        MutationKind::CreateContact => {
            let new = NewContact::from_input(input)?;
            MutationResult::for_id(operations::create_contact(tx, actor, &new).await?)
        }
        MutationKind::UpdateContact => {
            let change = Rectification::from_input(input)?;
            MutationResult::for_id(operations::rectify_contact(tx, actor, &change).await?)
        }
        MutationKind::MergeContacts => {
            let merge = Merge::from_input(input)?;
            merge::merge(tx, actor, &merge).await?;
            MutationResult::for_id(merge.id)
        }
        MutationKind::AddContactPoint => {
            let new = NewContactPoint::from_input(input)?;
            MutationResult::for_id(operations::add_contact_point(tx, actor, &new).await?)
        }
        MutationKind::RemoveContactPoint => {
            MutationResult::for_id(contacts::remove_point(tx, actor, id("contactPointId")?).await?)
        }
        MutationKind::RecordGround => {
            let new = NewGround::from_input(input, "input")?;
            MutationResult::for_id(operations::record_ground(tx, actor, id("contactId")?, &new).await?)
        }
        MutationKind::EndGround => {
            let id = id("groundId")?;
            grounds::end(tx, actor, id, input.time("endedAt")).await?;
            MutationResult::for_id(id)
        }
        MutationKind::RecordObjection => {
            let new = NewObjection::from_input(input, tx.reader())?;
            MutationResult::for_ids(objections::record(tx, actor, &new).await?)
        }
        MutationKind::EndObjection => {
            let id = id("objectionId")?;
            objections::end(tx, actor, id, input.time("endedAt")).await?;
            MutationResult::for_id(id)
        }
        MutationKind::LiftBlock => {
            let id = id("blockId")?;
            suppressions::lift_block(tx, actor, id, input.time("endedAt")).await?;
            MutationResult::for_id(id)
        }
        MutationKind::RecordConsent => {
            MutationResult::for_id(consents::record(tx, actor, &NewConsent::from_input(input)?).await?)
        }
        MutationKind::RequestConsent => {
            let consent =
                signups::request_consent(tx, app, actor, &signups::ConsentRequest::from_input(input)?)
                    .await?;
            MutationResult::for_ids(consent.into_iter().collect())
        }
        MutationKind::RenewConsent => {
            MutationResult::for_id(consents::renew(tx, actor, &Renewal::from_input(input)?).await?)
        }
        MutationKind::WithdrawConsent => {
            let withdrawal = Withdrawal::from_input(input, tx.reader())?;
            MutationResult::for_ids(consents::withdraw(tx, actor, &withdrawal).await?)
        }
        MutationKind::OpenRequest => {
            MutationResult::for_id(requests::open(tx, actor, &NewRequest::from_input(input)?).await?)
        }
        MutationKind::CancelRequest => {
            let id = id("privacyRequestId")?;
            requests::cancel(tx, actor, id, input.optional_string("reason")).await?;
            MutationResult::for_id(id)
        }
        MutationKind::RestrictContact => {
            let new = NewRestriction::from_input(input)?;
            contacts::restrict(tx, actor, &new).await?;
            MutationResult::for_id(new.id)
        }
        MutationKind::LiftRestriction => {
            let id = id("contactId")?;
            contacts::lift(tx, actor, id, input.require_time("informedAt")?).await?;
            MutationResult::for_id(id)
        }
        MutationKind::CreateRecipient => {
            MutationResult::for_id(recipients::create(tx, NewRecipient::from_input(input)?).await?)
        }
        MutationKind::AcknowledgeStops => {
            let (recipient, batch) = (id("recipientId")?, id("batchId")?);
            stops::acknowledge_as(tx, actor, recipient, batch).await?;
            MutationResult::for_id(recipient)
        }
        MutationKind::CreateAccessToken => {
            let new = NewToken::from_input(input, actor, tx.now())?;
            new.check_grant(actor)?;
            new.check_use(&actor.policy)?;
            let (id, token) = access_tokens::create(tx, &actor.policy, new).await?;
            MutationResult { ids: vec![id], secret: Some(token.expose_secret().to_owned()) }
        }
        MutationKind::RevokeAccessToken => {
            let id = id("accessTokenId")?;
            access_tokens::revoke_as(tx, actor, id).await?;
            MutationResult::for_id(id)
        }
    })
}

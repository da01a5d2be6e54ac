//! The entries that opt-outs of a file add to the suppression list. Room: exchange/imports/consents.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use entity::enums::{Channel, SuppressionKind};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::lines::{Line, short_digest};
use crate::{
    audit::Transaction,
    base::{error::Error, identities::Reader},
    crypto::installation_keys::InstallationKeys,
    domain::{
        consents::DeclaredState,
        contacts::{NewAddresses, Reachable},
        suppressions::{self, KnownEntryQuery, OptOutDeclaration},
    },
    exchange::imports::lock_scope::PersonIdentities,
    policy::Policy,
};

/// What a dry run would have added to the list, and since when.
pub(super) type TrialSuppressions = HashMap<u64, DateTime<Utc>>;

/// The context for querying the list.
#[derive(Clone, Copy)]
pub(super) struct SuppressionContext<'a> {
    pub policy: &'a Policy,
    pub installation_keys: Option<&'a InstallationKeys>,
    pub reader: &'a Reader,
    pub now: DateTime<Utc>,
}

/// The list entries for the consents that a line withdraws. Its objections are added like other objections.
fn withdrawals_of(line: &Line, now: DateTime<Utc>) -> Vec<OptOutDeclaration> {
    let DeclaredState::Ended { at, source, .. } = &line.said else { return Vec::new() };
    let mut purposes: Vec<&String> = line.targets.iter().map(|(purpose, _)| purpose).collect();
    purposes.sort_unstable();
    purposes.dedup();
    let withdrawal = |purpose: &String| OptOutDeclaration {
        purpose: purpose.clone(),
        kind: SuppressionKind::Withdrawal,
        channel: line.channel,
        since: at.unwrap_or(now),
        source: source.clone(),
    };
    purposes.into_iter().map(withdrawal).collect()
}

fn is_dated(line: &Line) -> bool {
    matches!(&line.said, DeclaredState::Ended { at: Some(_), .. })
}

/// Adds what a line ends to the list, for all addresses of the persons it names, and blocks every record of them;
/// returns whether anything is new. A line without a time that `ended` a consent always counts as new.
pub(super) async fn suppress(
    tx: &mut Transaction,
    identities: &PersonIdentities,
    line: &Line,
    ended: bool,
) -> Result<bool, Error> {
    let addresses: Vec<NewAddresses> = identities.of(&line.persons).cloned().collect();
    let (installation_keys, policy) = (tx.existing_installation_keys().await?, tx.policy().clone());
    let context = SuppressionContext {
        policy: &policy,
        installation_keys: installation_keys.as_ref(),
        reader: tx.reader(),
        now: tx.now(),
    };
    let is_new_here = (ended && !is_dated(line))
        || is_new(tx.connection(), context, line, &addresses, &TrialSuppressions::default()).await?;
    if is_new_here {
        let withdrawals = withdrawals_of(line, tx.now());
        for address in &addresses {
            suppressions::declare(tx, &[], address, &withdrawals).await?;
        }
    }
    Ok(is_new_here)
}

/// Creates stop duties for recipients for what a line ends on records of the person, if the list contained it already.
pub(super) async fn notify_recipients(
    tx: &mut Transaction,
    line: &Line,
    contacts: &[Uuid],
) -> Result<(), Error> {
    for withdrawal in withdrawals_of(line, tx.now()) {
        suppressions::create_stops_for_contacts(tx, contacts, &withdrawal).await?;
    }
    Ok(())
}

/// Whether [`suppress`] would report something new, after what earlier lines of a dry run would have added to the list.
pub(super) async fn is_new_in_trial<C: ConnectionTrait>(
    connection: &C,
    context: SuppressionContext<'_>,
    (line, ended): (&Line, bool),
    identities: &PersonIdentities,
    trial: &mut TrialSuppressions,
) -> Result<bool, Error> {
    let addresses: Vec<NewAddresses> = identities.of(&line.persons).cloned().collect();
    let is_new_here =
        (ended && !is_dated(line)) || is_new(connection, context, line, &addresses, trial).await?;
    if is_new_here {
        for withdrawal in withdrawals_of(line, context.now) {
            for reachable in addresses.iter().flat_map(|reached| reached.on(withdrawal.channel)) {
                let since = trial
                    .entry(suppression_key(reachable, &withdrawal.purpose, withdrawal.channel))
                    .or_insert(withdrawal.since);
                *since = (*since).max(withdrawal.since);
            }
        }
    }
    Ok(is_new_here)
}

/// Whether the list does not contain everything yet that a line ends: every purpose, on its channel, for every identity
/// on it.
async fn is_new<C: ConnectionTrait>(
    connection: &C,
    context: SuppressionContext<'_>,
    line: &Line,
    addresses: &[NewAddresses],
    trial: &TrialSuppressions,
) -> Result<bool, Error> {
    let channel = line.channel;
    for reached in addresses {
        let on_channel = reached.clone().on_channels(channel.as_ref().map(std::slice::from_ref));
        for withdrawal in withdrawals_of(line, context.now) {
            let dated = is_dated(line);
            let covered =
                on_channel.all().iter().filter(|reachable| is_covered(trial, reachable, &withdrawal, dated));
            let rest = on_channel.clone().except(&NewAddresses::from_text(covered.cloned().collect()));
            if rest.all().is_empty() {
                continue;
            }
            let found = suppressions::find(
                connection,
                context.installation_keys,
                context.reader,
                std::slice::from_ref(&rest),
            )
            .await?;
            let question = KnownEntryQuery {
                policy: context.policy,
                matches: &found,
                addresses: &rest,
                declared: &withdrawal,
                dated,
            };
            if !suppressions::is_already_listed(connection, question).await? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn is_covered(
    trial: &TrialSuppressions,
    reachable: &Reachable,
    withdrawal: &OptOutDeclaration,
    dated: bool,
) -> bool {
    [withdrawal.channel, None].into_iter().any(|channel| {
        let since = trial.get(&suppression_key(reachable, &withdrawal.purpose, channel));
        since.is_some_and(|since| !dated || *since >= withdrawal.since)
    })
}

fn suppression_key(reachable: &Reachable, purpose: &str, channel: Option<Channel>) -> u64 {
    let identity = reachable.identity();
    short_digest(&format!(
        "{:?}\0{}\0{:?}\0{purpose}\0{channel:?}",
        identity.kind(),
        identity.key(),
        identity.name()
    ))
}

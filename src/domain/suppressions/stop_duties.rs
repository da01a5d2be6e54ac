//! Creates stop duties: every recipient that read for the purpose of an opt-out must be notified (Art. 7(3), 19, 21;
//! CJEU C-129/21). Room: domain/suppressions.
//!
//! A duty contains what the recipient may already know: the id of the contact, and for a mailbox or number a digest
//! of its key, which anybody with the address can compute. It is created only for records that could be read for
//! the purpose while the recipient used it.

use std::collections::BTreeMap;

use entity::enums::{Channel, ContactPointKind, SuppressionKind};
use sea_orm::{ActiveEnum, ConnectionTrait, DbBackend};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    OptOutDeclaration,
    blocks::{closed_channels, push_contacts_with},
    lookup::channels_of,
    statements::SqlText,
};
use crate::{
    audit::{LockMode, Transaction},
    base::{error::Error, identities::Kind},
    domain::contacts::Reachable,
    policy::{Grounds, Policy},
    registry::STOP,
};

/// The condition that the recipient could have read the contact `c` for the purpose of its use `u`.
const COULD_READ: &str = "(EXISTS (SELECT 1 FROM consent k JOIN consent_event e ON e.consent_id = k.id \
                          WHERE k.contact_id = c.id AND k.purpose_code = u.purpose_code \
                          AND e.kind IN ('GRANTED', 'CONFIRMED', 'RENEWED') AND e.recorded_at <= u.until_at) \
                          OR EXISTS (SELECT 1 FROM ground g WHERE g.contact_id = c.id \
                          AND g.purpose_code = u.purpose_code AND g.created_at <= u.until_at)";

/// Creates duties for an opt-out that concerns the person and not an address, for recipients that read these
/// records.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn create_stops_for_contacts(
    tx: &mut Transaction,
    contacts: &[Uuid],
    declared: &OptOutDeclaration,
) -> Result<(), Error> {
    create_stops(tx, contacts, &[], declared).await
}

/// Creates duties of every recipient that used one of the opt-out's kinds: for every record of the `targets`, and
/// for the person's own `records` on channels that no target is reached by. One statement, however many there are.
///
/// A later opt-out reopens acknowledged duties. External lists and undeliverable mail are nobody's declaration.
pub(super) async fn create_stops(
    tx: &mut Transaction,
    records: &[Uuid],
    targets: &[&Reachable],
    declared: &OptOutDeclaration,
) -> Result<(), Error> {
    if !matches!(declared.kind, SuppressionKind::Objection | SuppressionKind::Withdrawal) {
        return Ok(());
    }
    let policy = tx.policy().clone();
    let duties = StopDuties::plan(&policy, records, targets, declared);
    if duties.codes.is_empty() {
        return Ok(());
    }
    tx.lock_uses(LockMode::Shared).await?;
    let sql = duties.to_sql(tx, declared);
    let affected = sql.ids(tx.connection()).await?;
    tx.record_without_values("makeStop", STOP.name, &affected, "Stop.since");
    Ok(())
}

/// SHA-256 of the key of a mailbox or number, hexadecimal, as recipients compute it; postal addresses have too many
/// spellings.
pub fn address_digest(kind: Kind, key: &str) -> Option<String> {
    (kind != Kind::Postal).then(|| hex::encode(Sha256::digest(key)))
}

/// The duties to create.
struct StopDuties<'a> {
    records: &'a [Uuid],
    /// Identities with the channel on which they are closed.
    identities: Vec<(&'a Reachable, Channel)>,
    /// Channels on the person's own records only; `None` if a kind names no channel.
    channels_without_address: Vec<Option<Channel>>,
    /// Kinds by the channel on which they end.
    codes: BTreeMap<Option<String>, Vec<&'a str>>,
    /// Kinds for which every contact may be read.
    for_all: Vec<&'a str>,
}

impl<'a> StopDuties<'a> {
    fn plan(
        policy: &'a Policy,
        records: &'a [Uuid],
        targets: &[&'a Reachable],
        declared: &OptOutDeclaration,
    ) -> Self {
        let mut duties = StopDuties {
            records,
            identities: targets
                .iter()
                .flat_map(|reachable| {
                    let closed = closed_channels(reachable, declared.channel).into_iter();
                    closed.map(|channel| (*reachable, channel))
                })
                .collect(),
            channels_without_address: Vec::new(),
            codes: BTreeMap::new(),
            for_all: Vec::new(),
        };
        let kinds = policy.purposes().iter().filter(|purpose| {
            !purpose.is_group
                && (purpose.code == declared.purpose || purpose.group.as_ref() == Some(&declared.purpose))
        });
        for kind in kinds {
            let used = channels_of(policy, &kind.code);
            let uses = |channel: &Channel| used.is_empty() || used.contains(channel);
            let mut closed: Vec<Option<Channel>> = duties
                .identities
                .iter()
                .map(|(_, channel)| *channel)
                .filter(|channel| uses(channel))
                .map(Some)
                .collect();
            if !records.is_empty() {
                let all: Vec<Option<Channel>> = match declared.channel {
                    Some(channel) => Some(channel).filter(uses).into_iter().map(Some).collect(),
                    None if used.is_empty() => vec![None],
                    None => used.iter().copied().map(Some).collect(),
                };
                for channel in all {
                    if !closed.contains(&channel) {
                        closed.push(channel);
                        duties.channels_without_address.push(channel);
                    }
                }
            }
            for channel in closed {
                let codes = duties.codes.entry(channel.map(|channel| channel.to_value())).or_default();
                if !codes.contains(&kind.code.as_str()) {
                    codes.push(&kind.code);
                }
            }
            if kind.grounds == Grounds::EveryContact {
                duties.for_all.push(&kind.code);
            }
        }
        duties
            .channels_without_address
            .sort_unstable_by_key(|channel| channel.map(|channel| channel.to_value()));
        duties.channels_without_address.dedup();
        // A contact may have one mailbox in several spellings.
        let mut seen = Vec::new();
        duties.identities.retain(|(reachable, channel)| {
            let is_repeated = seen.contains(&(reachable.identity(), *channel));
            seen.push((reachable.identity(), *channel));
            !is_repeated
        });
        duties.identities.retain(|(_, channel)| duties.codes.contains_key(&Some(channel.to_value())));
        duties
    }

    fn to_sql(&self, tx: &Transaction, declared: &OptOutDeclaration) -> SqlText {
        let backend = tx.connection().get_database_backend();
        let id = if backend == DbBackend::Postgres { "gen_random_uuid()" } else { "randomblob(16)" };
        let mut sql = SqlText::new(backend);
        sql.push(
            "INSERT INTO stop (id, recipient_id, contact_id, purpose_code, channel, address_kind, address_sha256, since, made_at) \
             SELECT ",
        );
        sql.push(id).push(", u.recipient_id, s.contact_id, u.purpose_code, s.channel, s.kind, s.digest, ");
        sql.bind(declared.since).push(", ").bind(tx.now());
        sql.push(" FROM recipient_use u JOIN (");
        self.push_targets(&mut sql);
        sql.push(") s ON (1 = 0");
        for (channel, codes) in &self.codes {
            sql.push(" OR (s.channel ");
            match channel {
                Some(channel) => sql.push("= '").push(channel).push("'"),
                None => sql.push("IS NULL"),
            };
            sql.push(" AND u.purpose_code");
            sql.push_in(codes).push(")");
        }
        sql.push(") JOIN contact c ON c.id = s.contact_id WHERE u.until_at >= ").bind(tx.copy_cutoff());
        sql.push(" AND c.state <> 'ERASED' AND ").push(COULD_READ);
        if !self.for_all.is_empty() {
            sql.push(" OR (u.purpose_code");
            // Records merged into a contact may be older than the contact.
            sql.push_in(&self.for_all).push(
                " AND (c.created_at <= u.until_at OR EXISTS (SELECT 1 FROM contact_merge m WHERE m.contact_id = c.id)))",
            );
        }
        sql.push(
            ") ON CONFLICT (contact_id, purpose_code, recipient_id, COALESCE(channel, ''), COALESCE(address_sha256, '')) \
             DO UPDATE SET since = excluded.since, made_at = excluded.made_at, exported_at = NULL, acknowledged_at = NULL, \
             acknowledged_by = NULL WHERE stop.since < excluded.since RETURNING contact_id",
        );
        sql
    }

    /// Pushes a SELECT of the targets: contact, channel, kind of address and its digest.
    fn push_targets(&self, sql: &mut SqlText) {
        for (index, (reachable, channel)) in self.identities.iter().enumerate() {
            let kind = reachable.identity().kind();
            sql.push(if index == 0 { "" } else { " UNION " });
            sql.push("SELECT h.contact_id, h.channel, '").push(&point_kind(kind).to_value());
            sql.push("' AS kind, CAST(").bind(address_digest(kind, reachable.identity().key()));
            sql.push(" AS text) AS digest FROM (");
            push_contacts_with(sql, reachable, Some(*channel));
            sql.push(") h");
        }
        for (index, channel) in self.channels_without_address.iter().enumerate() {
            sql.push(if index == 0 && self.identities.is_empty() { "" } else { " UNION " });
            sql.push("SELECT o.id AS contact_id, CAST(").bind(channel.map(|channel| channel.to_value()));
            sql.push(" AS text) AS channel, CAST(NULL AS text) AS kind, CAST(NULL AS text) AS digest FROM contact o WHERE o.id");
            sql.push_in(self.records);
        }
    }
}

fn point_kind(kind: Kind) -> ContactPointKind {
    match kind {
        Kind::Mailbox => ContactPointKind::Email,
        Kind::Number => ContactPointKind::Phone,
        Kind::Postal => ContactPointKind::Postal,
    }
}

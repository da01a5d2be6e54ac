//! What every operation is given: the application, the actor, the clock, ids and keys (floor 2).

mod masters;
mod names;

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::{
    config::{pages::Pages, recipients::Recipients},
    db::Db,
    error::{Code, Error},
    identities::Reader,
    oidc::Issuers,
    policy::{Action, Live, Policy, PurposeDef, Table},
};

pub use masters::Keys;

/// Where time comes from. Microsecond precision, as PostgreSQL keeps it.
pub trait Clock: Send + Sync {
    /// The present instant, UTC.
    fn now(&self) -> DateTime<Utc>;
}

/// The clock of the machine.
#[derive(Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now().trunc_subsecs(6)
    }
}

/// A clock that stands still until it is advanced: for tests and reproducible data.
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that shows `at`.
    pub fn new(at: DateTime<Utc>) -> Self {
        Self(AtomicU64::new(at.timestamp_micros().max(0).unsigned_abs()))
    }

    /// Moves the clock on.
    pub fn advance(&self, by: TimeDelta) {
        let micros = by.num_microseconds().unwrap_or(0).max(0).unsigned_abs();
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        let micros = i64::try_from(self.0.load(Ordering::SeqCst)).unwrap_or(0);
        DateTime::from_timestamp_micros(micros).unwrap_or_default()
    }
}

/// The application: what outlives a request.
pub struct App {
    /// Reader and writer pools.
    pub db: Db,
    /// The policy in force, swapped as a whole.
    pub policy: Live,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Keys for cursors and digests.
    pub keys: Keys,
    /// Issuers whose users' tokens are taken.
    pub issuers: Issuers,
    /// What the public pages say and where they are.
    pub pages: Pages,
    /// Keys that outlive a rotation of the master key, once they were read from the database.
    pub ring: Arc<OnceCell<Ring>>,
    /// How addresses and numbers are read here.
    pub reader: Reader,
    /// How long recipients may have kept what they read.
    pub keep_copy: TimeDelta,
    /// Which background jobs failed when they last ran.
    pub failing: FailingJobs,
    /// Whether the suppression list is to be looked over, as the daily job found it.
    pub unreviewed: AtomicBool,
}

/// Background jobs that failed when they last ran, by name. All clones know the same.
#[derive(Clone, Debug, Default)]
pub struct FailingJobs(Arc<Mutex<BTreeSet<&'static str>>>);

impl FailingJobs {
    /// Notes how a job ended.
    pub fn note(&self, job: &'static str, failed: bool) {
        let mut failing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if failed {
            failing.insert(job);
        } else {
            failing.remove(job);
        }
    }

    /// Whether any failed.
    pub fn any(&self) -> bool {
        !self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

/// Keys that must stay as they are while links, digests and signatures made with them are about. Each is random and lies
/// wrapped by the master key in the database.
#[derive(Clone)]
pub struct Ring {
    /// Makes the links of mails and preference pages.
    pub links: [u8; 32],
    /// Makes the digests of the suppression list.
    pub suppression: [u8; 32],
    /// Seed of the key that receipts are signed with (Ed25519, RFC 8032).
    pub signing: [u8; 32],
    /// Makes digests by which something is found again, such as outcomes kept for retries.
    pub lookups: [u8; 32],
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ring(***)")
    }
}

impl App {
    /// An application without public pages.
    pub fn new(db: Db, policy: Live, clock: Arc<dyn Clock>, keys: Keys, issuers: Issuers) -> Self {
        Self {
            db,
            policy,
            clock,
            keys,
            issuers,
            pages: Pages::default(),
            ring: Arc::default(),
            reader: Reader::default(),
            keep_copy: Recipients::default().keep_copy(),
            failing: FailingJobs::default(),
            unreviewed: AtomicBool::new(false),
        }
    }

    /// The same with public pages.
    pub fn with_pages(self, pages: Pages) -> Self {
        Self { pages, ..self }
    }

    /// The same, where addresses are read by the rules of another installation.
    pub fn with_reader(self, reader: Reader) -> Self {
        Self { reader, ..self }
    }

    /// The same, where recipients may keep what they read for another time.
    pub fn with_keep_copy(self, keep_copy: TimeDelta) -> Self {
        Self { keep_copy, ..self }
    }

    /// The present instant.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// A fresh UUIDv7 of the application's own clock.
    pub fn new_id(&self) -> Uuid {
        id_at(self.now())
    }
}

/// A fresh UUIDv7 of the instant `at`, ordered by the microsecond (RFC 9562, 6.2, method 3), random behind that.
pub fn id_at(at: DateTime<Utc>) -> Uuid {
    let micros = at.timestamp_micros().max(0).unsigned_abs();
    let mut random: [u8; 10] = rand::random();
    // The 12 bits behind the version hold the fraction of the millisecond.
    let fraction = u16::try_from((micros % 1_000) * 4_096 / 1_000).unwrap_or_default().to_be_bytes();
    let [high, low, ..] = &mut random;
    [*high, *low] = fraction;
    uuid::Builder::from_unix_timestamp_millis(micros / 1_000, &random).into_uuid()
}

/// A fresh UUIDv7 as by [`id_at`], greater than `last` whatever the clock says.
pub fn id_after(last: Option<Uuid>, at: DateTime<Utc>) -> Uuid {
    let behind = last.map(|last| {
        let (millis, fraction) = (last.as_u128() >> 80, (last.as_u128() >> 64) & 0xfff);
        // The microsecond that the fraction was made of, and one more.
        i64::try_from(millis * 1_000 + (fraction * 1_000).div_ceil(4_096) + 1).unwrap_or(i64::MAX)
    });
    let micros = at.timestamp_micros().max(behind.unwrap_or(0));
    id_at(DateTime::from_timestamp_micros(micros).unwrap_or(at))
}

/// What a credential says: who, in which roles, for which purposes, how far narrowed.
#[derive(Clone, Debug)]
pub struct Credential {
    /// `token:<id>` or `user:<issuer>:<pseudonym>`.
    pub actor_id: String,
    /// Roles without prefix.
    pub roles: Vec<String>,
    /// Codes of the purposes it permits.
    pub purposes: Vec<String>,
    /// Coordinates it is narrowed to, if it is.
    pub fields: Option<Vec<String>>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// The recipient that uses it.
    pub recipient: Option<Uuid>,
}

/// Who calls, for which purpose, under which decisions; pinned for one operation.
#[derive(Clone)]
pub struct Actor {
    /// `token:<id>` or `user:<issuer>:<pseudonym>`.
    pub id: String,
    /// Roles without prefix.
    pub roles: Vec<String>,
    /// Coordinates the credential is narrowed to, if it is.
    pub fields: Option<Vec<String>>,
    /// When the credential ends.
    pub expires_at: DateTime<Utc>,
    /// The purposes the credential permits, as far as the policy knows them.
    pub permitted: Vec<Arc<PurposeDef>>,
    /// The one purpose of this operation. Without one nothing but the viewer can be read.
    pub purpose: Option<Arc<PurposeDef>>,
    /// The decisions, one array.
    pub table: Arc<Table>,
    /// The policy they come from.
    pub policy: Arc<Policy>,
    /// Id of the request, also in the answer's `X-Request-Id`.
    pub request_id: String,
    /// The records of the person who calls, where it is one: nobody else's rows are visible then, whatever the purpose sees.
    pub subject: Option<Arc<[Uuid]>>,
    /// The recipient that reads, where the credential is one of a recipient: what it got is noted.
    pub recipient: Option<Uuid>,
}

impl Actor {
    /// The actor for `credential` under the policy in force.
    ///
    /// `requested` is the purpose named by the request. Without one, a credential with a single purpose uses
    /// that; with several there is no purpose, and every governed field but those of [purposes](PurposeDef) is denied.
    ///
    /// # Errors
    /// `PURPOSE_NOT_PERMITTED` for a purpose the credential does not permit (or the policy does not know). `FORBIDDEN` for a credential that
    /// names a role or a purpose that the policy does not know (any more): what is left of it may be wider than the whole, since a role
    /// also denies.
    pub fn new(
        policy: Arc<Policy>,
        credential: &Credential,
        requested: Option<&str>,
        request_id: String,
    ) -> Result<Self, Error> {
        let known = |code: &String| policy.purpose(code).filter(|purpose| !purpose.is_group).cloned();
        let permitted: Vec<Arc<PurposeDef>> = credential.purposes.iter().filter_map(known).collect();
        let purpose = match requested {
            Some(code) => {
                Some(permitted.iter().find(|purpose| purpose.code == code).cloned().ok_or_else(|| {
                    // What the credential permits its bearer may know anyway.
                    let known: Vec<&str> = permitted.iter().map(|purpose| purpose.code.as_str()).collect();
                    let message =
                        format!("this purpose is not permitted; permitted are: {}", known.join(", "));
                    Error::new(Code::PurposeNotPermitted, message)
                })?)
            }
            None => match permitted.as_slice() {
                [only] => Some(only.clone()),
                _ => None,
            },
        };
        if permitted.len() < credential.purposes.len()
            || credential.roles.iter().any(|role| !policy.roles().contains(role))
        {
            let message = "this credential names a role or a purpose that the policy does not know any more; it must be replaced";
            return Err(Error::new(Code::Forbidden, message));
        }
        let roles = credential.roles.clone();
        let table = match &purpose {
            Some(purpose) => policy.pinned(&roles, &purpose.code, credential.fields.as_deref())?,
            None => {
                let only = credential.fields.as_deref();
                Arc::new(policy.table_without_purpose(&roles, &permitted, only)?)
            }
        };
        // A credential in the role of the persons that is nobody's in particular sees nobody.
        let subject = policy.role_of_subjects().filter(|role| roles.iter().any(|own| own == role));
        let subject = subject.map(|_| Arc::from([Uuid::nil()]));
        Ok(Self {
            id: credential.actor_id.clone(),
            roles,
            fields: credential.fields.clone(),
            expires_at: credential.expires_at,
            permitted,
            purpose,
            table,
            policy,
            request_id,
            subject,
            recipient: credential.recipient,
        })
    }

    /// The person `contact`, who came by a link of its own, under `purpose`; what it may do the policy says of the role of the
    /// persons. It sees its own rows alone.
    ///
    /// # Errors
    /// `PURPOSE_NOT_PERMITTED` when the policy does not know the purpose.
    pub fn of_subject(
        policy: Arc<Policy>,
        contact: Uuid,
        purpose: &str,
        now: DateTime<Utc>,
        request_id: String,
    ) -> Result<Self, Error> {
        let rows = Arc::from([contact]);
        Self::of_persons(policy, format!("subject:{contact}"), rows, purpose, now, request_id)
    }

    /// Whoever reads the mailbox that the link `link` was mailed to: of which person's record it came cannot be told. It sees
    /// `records`, those that a declaration by the address may be one of.
    ///
    /// # Errors
    /// `PURPOSE_NOT_PERMITTED` when the policy does not know the purpose.
    pub fn of_mailbox(
        policy: Arc<Policy>,
        link: Uuid,
        records: Vec<Uuid>,
        purpose: &str,
        now: DateTime<Utc>,
        request_id: String,
    ) -> Result<Self, Error> {
        Self::of_persons(policy, format!("link:{link}"), records.into(), purpose, now, request_id)
    }

    fn of_persons(
        policy: Arc<Policy>,
        actor_id: String,
        records: Arc<[Uuid]>,
        purpose: &str,
        now: DateTime<Utc>,
        request_id: String,
    ) -> Result<Self, Error> {
        let credential = Credential {
            actor_id,
            roles: policy.role_of_subjects().map(str::to_owned).into_iter().collect(),
            purposes: vec![purpose.to_owned()],
            fields: None,
            expires_at: now,
            recipient: None,
        };
        let actor = Self::new(policy, &credential, Some(purpose), request_id)?;
        Ok(Self { subject: Some(records), ..actor })
    }

    /// Whether the caller may do `action` to `object`, e.g. create `Contact.email`.
    pub fn may(&self, object: &str, action: Action) -> bool {
        self.policy.object(object).is_some_and(|id| self.table.allows(id, action))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_ordered_by_the_microsecond() {
        let at = DateTime::from_timestamp_micros(1_793_610_000_123_456).unwrap();
        let ids: Vec<Uuid> = (0..2_000).map(|micros| id_at(at + TimeDelta::microseconds(micros))).collect();
        assert!(ids.is_sorted());
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
        assert_eq!(ids[0].get_timestamp().unwrap().to_unix(), (1_793_610_000, 123_000_000));
        assert_ne!(id_at(at), id_at(at));
    }

    #[test]
    fn an_id_after_another_is_greater_though_the_clock_stands_or_goes_back() {
        let at = DateTime::from_timestamp_micros(1_793_610_000_123_999).unwrap();
        let mut last = id_at(at + TimeDelta::hours(1));
        for _ in 0..3_000 {
            let next = id_after(Some(last), at);
            assert!(next > last, "{next} {last}");
            last = next;
        }
        // Nor does the random part of another's id come in between.
        let greatest = Uuid::from_u128(last.as_u128() | ((1 << 62) - 1));
        assert!(id_after(Some(greatest), at) > greatest);
        assert_eq!(id_after(None, at).get_timestamp().unwrap().to_unix(), (1_793_610_000, 123_000_000));
    }
}

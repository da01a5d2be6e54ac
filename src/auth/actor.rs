//! The caller of one operation with its decision table. Room: auth.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    auth::credential::Credential,
    base::error::{Code, Error},
    policy::{Action, DecisionTable, Policy, PurposeDef},
};

/// The caller of one operation: who, for which purpose, with which decisions. It does not change during the
/// operation.
#[derive(Clone)]
pub struct Actor {
    /// `token:<id>` or `user:<issuer>:<pseudonym>`.
    pub id: String,
    /// Role codes, without prefix.
    pub roles: Vec<String>,
    /// Coordinates to which the credential is restricted, if it is.
    pub fields: Option<Vec<String>>,
    /// When the credential expires.
    pub expires_at: DateTime<Utc>,
    /// The purposes that the credential permits and the policy knows.
    pub permitted_purposes: Vec<Arc<PurposeDef>>,
    /// The purpose of this operation. Without a purpose only the viewer is readable.
    pub purpose: Option<Arc<PurposeDef>>,
    /// The decision table.
    pub decisions: Arc<DecisionTable>,
    /// The policy it was compiled from.
    pub policy: Arc<Policy>,
    /// Request id, also returned in `X-Request-Id`.
    pub request_id: String,
    /// The caller's own records if the caller is a data subject: then no other rows are visible, even if the purpose
    /// sees all.
    pub subject: Option<Arc<[Uuid]>>,
    /// The recipient to which the credential belongs, if any: its reads are recorded.
    pub recipient: Option<Uuid>,
}

impl Actor {
    /// The actor for `credential` under the policy in force.
    ///
    /// `requested` is the purpose that the request names. Without one, a credential with a single purpose uses that
    /// purpose. With several there is no purpose, and every governed field except those of [purposes](PurposeDef) is
    /// denied.
    ///
    /// # Errors
    /// `PURPOSE_NOT_PERMITTED` if the credential does not permit the purpose or the policy does not know it.
    /// `FORBIDDEN` if the credential names a role or purpose that the policy does not know (any more): the remaining
    /// roles may allow more than all of them together, since a role can also deny.
    pub fn new(
        policy: Arc<Policy>,
        credential: &Credential,
        requested: Option<&str>,
        request_id: String,
    ) -> Result<Self, Error> {
        let resolve = |code: &String| policy.purpose(code).filter(|purpose| !purpose.is_group).cloned();
        let permitted_purposes: Vec<Arc<PurposeDef>> =
            credential.purposes.iter().filter_map(resolve).collect();
        let purpose = match requested {
            Some(code) => {
                Some(permitted_purposes.iter().find(|purpose| purpose.code == code).cloned().ok_or_else(
                    || {
                        // The bearer may know what the credential permits.
                        let codes: Vec<&str> =
                            permitted_purposes.iter().map(|purpose| purpose.code.as_str()).collect();
                        let message =
                            format!("this purpose is not permitted; permitted are: {}", codes.join(", "));
                        Error::new(Code::PurposeNotPermitted, message)
                    },
                )?)
            }
            None => match permitted_purposes.as_slice() {
                [only] => Some(only.clone()),
                _ => None,
            },
        };
        if permitted_purposes.len() < credential.purposes.len()
            || credential.roles.iter().any(|role| !policy.roles().contains(role))
        {
            let message = "this credential names a role or a purpose that the policy no longer has; it must be replaced";
            return Err(Error::new(Code::Forbidden, message));
        }
        let roles = credential.roles.clone();
        let decisions = match &purpose {
            Some(purpose) => policy.cached_table(&roles, &purpose.code, credential.fields.as_deref())?,
            None => {
                let only = credential.fields.as_deref();
                Arc::new(policy.table_without_purpose(&roles, &permitted_purposes, only)?)
            }
        };
        // A credential in the data-subject role that belongs to no particular person sees no rows.
        let subject = policy.role_of_subjects().filter(|role| roles.iter().any(|held| held == role));
        let subject = subject.map(|_| Arc::from([Uuid::nil()]));
        Ok(Self {
            id: credential.actor_id.clone(),
            roles,
            fields: credential.fields.clone(),
            expires_at: credential.expires_at,
            permitted_purposes,
            purpose,
            decisions,
            policy,
            request_id,
            subject,
            recipient: credential.recipient,
        })
    }

    /// The data subject `contact`, identified by a personal link, acting for `purpose` with the rights of the
    /// data-subject role. It only sees its own rows.
    ///
    /// # Errors
    /// `PURPOSE_NOT_PERMITTED` if the policy does not know the purpose.
    pub fn for_subject(
        policy: Arc<Policy>,
        contact: Uuid,
        purpose: &str,
        now: DateTime<Utc>,
        request_id: String,
    ) -> Result<Self, Error> {
        let rows = Arc::from([contact]);
        Self::for_persons(policy, format!("subject:{contact}"), rows, purpose, now, request_id)
    }

    /// Whoever reads the mailbox to which `link` was mailed, when several people may share it. The actor sees
    /// `records`: the records that a declaration by this address may concern.
    ///
    /// # Errors
    /// `PURPOSE_NOT_PERMITTED` if the policy does not know the purpose.
    pub fn for_mailbox(
        policy: Arc<Policy>,
        link: Uuid,
        records: Vec<Uuid>,
        purpose: &str,
        now: DateTime<Utc>,
        request_id: String,
    ) -> Result<Self, Error> {
        Self::for_persons(policy, format!("link:{link}"), records.into(), purpose, now, request_id)
    }

    fn for_persons(
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
    pub fn can(&self, object: &str, action: Action) -> bool {
        self.policy.object(object).is_some_and(|id| self.decisions.allows(id, action))
    }
}

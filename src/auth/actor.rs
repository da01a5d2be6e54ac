//! Who calls: the actor of one operation with its decision table. Room: auth.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    auth::credential::Credential,
    base::error::{Code, Error},
    policy::{Action, DecisionTable, Policy, PurposeDef},
};

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
    pub permitted_purposes: Vec<Arc<PurposeDef>>,
    /// The one purpose of this operation. Without one nothing but the viewer can be read.
    pub purpose: Option<Arc<PurposeDef>>,
    /// The decisions, one array.
    pub decisions: Arc<DecisionTable>,
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
        let permitted_purposes: Vec<Arc<PurposeDef>> = credential.purposes.iter().filter_map(known).collect();
        let purpose = match requested {
            Some(code) => {
                Some(permitted_purposes.iter().find(|purpose| purpose.code == code).cloned().ok_or_else(
                    || {
                        // What the credential permits its bearer may know anyway.
                        let known: Vec<&str> =
                            permitted_purposes.iter().map(|purpose| purpose.code.as_str()).collect();
                        let message =
                            format!("this purpose is not permitted; permitted are: {}", known.join(", "));
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
            let message = "this credential names a role or a purpose that the policy does not know any more; it must be replaced";
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
        // A credential in the role of the persons that is nobody's in particular sees nobody.
        let subject = policy.role_of_subjects().filter(|role| roles.iter().any(|own| own == role));
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

    /// The person `contact`, who came by a link of its own, under `purpose`; what it may do the policy says of the role of the
    /// persons. It sees its own rows alone.
    ///
    /// # Errors
    /// `PURPOSE_NOT_PERMITTED` when the policy does not know the purpose.
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

    /// Whoever reads the mailbox that the link `link` was mailed to: of which person's record it came cannot be told. It sees
    /// `records`, those that a declaration by the address may be one of.
    ///
    /// # Errors
    /// `PURPOSE_NOT_PERMITTED` when the policy does not know the purpose.
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

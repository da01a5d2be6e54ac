//! Every mutation: its input, the rights it needs and its payload. Room: registry.

use super::mutation_inputs::{
    ACKNOWLEDGE_STOPS, ADD_CONTACT_POINT, CANCEL_REQUEST, CREATE_ACCESS_TOKEN, CREATE_CONTACT,
    CREATE_RECIPIENT, END_GROUND, END_OBJECTION, LIFT_BLOCK, LIFT_RESTRICTION, MERGE_CONTACTS, OPEN_REQUEST,
    RECORD_CONSENT, RECORD_GROUND, RECORD_OBJECTION, REMOVE_CONTACT_POINT, RENEW_CONSENT, REQUEST_CONSENT,
    RESTRICT_CONTACT, REVOKE_ACCESS_TOKEN, UPDATE_CONTACT, WITHDRAW_CONSENT,
};
use super::{
    ACCESS_TOKEN, BLOCK, CONSENT, CONTACT, DataCategory, FieldSource, GROUND, InputField, InputType,
    OBJECTION, ObjectType, PRIVACY_REQUEST, RECIPIENT, Right,
};
use crate::policy::Action::{self, Create, Read, Update};

/// The function that executes a mutation. One variant per mutation, so that none can be declared without an
/// implementation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the mutation of the same name, documented there")]
pub enum MutationKind {
    CreateContact,
    UpdateContact,
    MergeContacts,
    AddContactPoint,
    RemoveContactPoint,
    RecordGround,
    EndGround,
    RecordObjection,
    EndObjection,
    LiftBlock,
    RecordConsent,
    RequestConsent,
    RenewConsent,
    WithdrawConsent,
    OpenRequest,
    CancelRequest,
    RestrictContact,
    LiftRestriction,
    CreateRecipient,
    AcknowledgeStops,
    CreateAccessToken,
    RevokeAccessToken,
}

/// The payload of a mutation.
#[derive(Debug)]
pub struct Payload {
    /// Name in the SDL.
    pub name: &'static str,
    /// Description in the SDL.
    pub doc: &'static str,
    /// The field that holds the written row.
    pub row_field: &'static str,
    /// The field that holds all written rows, if there may be several.
    pub list_field: Option<&'static str>,
    /// The type of the rows.
    pub object: &'static ObjectType,
    /// Whether the payload contains a secret, which is shown only once.
    pub secret: bool,
}

/// A mutation.
#[derive(Debug)]
pub struct Mutation {
    /// Name in the SDL, and the action in the audit log.
    pub name: &'static str,
    /// Description in the SDL.
    pub doc: &'static str,
    /// Which function executes it.
    pub kind: MutationKind,
    /// The input type, passed as `input`.
    pub input: &'static InputType,
    /// The deprecated argument that takes the only input field until the next version.
    pub was: Option<&'static str>,
    /// The type whose rows are written as a whole, with all their descendants, whatever the input says.
    pub requires_full_access: Option<&'static ObjectType>,
    /// Its payload.
    pub payload: &'static Payload,
}

impl Mutation {
    /// The deprecated argument that takes the only input field until the next version, as that field under its
    /// deprecated name.
    pub fn deprecated_argument(&self) -> Option<InputField> {
        let (field, name) = (self.input.fields.first()?, self.was?);
        Some(InputField { name, required: false, deprecated: None, ..*field })
    }

    /// The rights needed in addition to those of the input: if whole rows are written, every field of them is read
    /// and updated, and every field of their descendants is read, created and updated. Derived from the registry, so
    /// that none is forgotten.
    pub fn required_rights(&self) -> Vec<Right> {
        let mut needs = Vec::new();
        let mut add = |object: &'static ObjectType, actions: &[Action]| {
            let kept = object.fields.iter().filter(|field| {
                field.category != DataCategory::Key
                    && !field.source.is_derived()
                    && !matches!(field.source, FieldSource::Localised { .. })
            });
            for field in kept {
                needs.extend(actions.iter().map(|action| Right::OnField(*action, object, field)));
            }
        };
        if let Some(object) = self.requires_full_access {
            add(object, &[Read, Update]);
            object.descendants().into_iter().for_each(|object| add(object, &[Read, Create, Update]));
        }
        needs
    }
}

const fn payload(name: &'static str, row_field: &'static str, object: &'static ObjectType) -> Payload {
    Payload {
        name,
        doc: "What was written, as far as the caller may read it.",
        row_field,
        list_field: None,
        object,
        secret: false,
    }
}

static CONTACT_PAYLOAD: Payload = payload("ContactPayload", "contact", &CONTACT);
static GROUND_PAYLOAD: Payload = payload("GroundPayload", "ground", &GROUND);
static OBJECTION_PAYLOAD: Payload =
    Payload { list_field: Some("objections"), ..payload("ObjectionPayload", "objection", &OBJECTION) };
static BLOCK_PAYLOAD: Payload = payload("BlockPayload", "block", &BLOCK);
static CONSENT_PAYLOAD: Payload =
    Payload { list_field: Some("consents"), ..payload("ConsentPayload", "consent", &CONSENT) };
static REQUEST_PAYLOAD: Payload = payload("RequestPayload", "request", &PRIVACY_REQUEST);
static RECIPIENT_PAYLOAD: Payload = payload("RecipientPayload", "recipient", &RECIPIENT);
static TOKEN_PAYLOAD: Payload =
    Payload { secret: true, ..payload("AccessTokenPayload", "token", &ACCESS_TOKEN) };

const fn mutation(
    name: &'static str,
    kind: MutationKind,
    input: &'static InputType,
    payload: &'static Payload,
    doc: &'static str,
) -> Mutation {
    Mutation { name, doc, kind, input, was: None, requires_full_access: None, payload }
}

/// Every mutation.
pub static MUTATIONS: &[Mutation] = &[
    mutation(
        "createContact",
        MutationKind::CreateContact,
        &CREATE_CONTACT,
        &CONTACT_PAYLOAD,
        "Creates a contact with its source and ground.",
    ),
    mutation(
        "updateContact",
        MutationKind::UpdateContact,
        &UPDATE_CONTACT,
        &CONTACT_PAYLOAD,
        "Rectifies a contact (Art. 16); a new address invalidates the consents bound to the old one.",
    ),
    Mutation {
        requires_full_access: Some(&CONTACT),
        ..mutation(
            "mergeContacts",
            MutationKind::MergeContacts,
            &MERGE_CONTACTS,
            &CONTACT_PAYLOAD,
            "Merges two contacts that are the same person; the stricter consents and restrictions apply. Requires a purpose that sees all.",
        )
    },
    mutation(
        "addContactPoint",
        MutationKind::AddContactPoint,
        &ADD_CONTACT_POINT,
        &CONTACT_PAYLOAD,
        "Adds a further contact point.",
    ),
    Mutation {
        was: Some("id"),
        ..mutation(
            "removeContactPoint",
            MutationKind::RemoveContactPoint,
            &REMOVE_CONTACT_POINT,
            &CONTACT_PAYLOAD,
            "Removes a further contact point.",
        )
    },
    mutation(
        "recordGround",
        MutationKind::RecordGround,
        &RECORD_GROUND,
        &GROUND_PAYLOAD,
        "Records a ground.",
    ),
    mutation("endGround", MutationKind::EndGround, &END_GROUND, &GROUND_PAYLOAD, "Ends a ground."),
    mutation(
        "recordObjection",
        MutationKind::RecordObjection,
        &RECORD_OBJECTION,
        &OBJECTION_PAYLOAD,
        "Records an objection (Art. 21), effective from the next read.",
    ),
    mutation(
        "endObjection",
        MutationKind::EndObjection,
        &END_OBJECTION,
        &OBJECTION_PAYLOAD,
        "Ends an objection.",
    ),
    mutation(
        "liftBlock",
        MutationKind::LiftBlock,
        &LIFT_BLOCK,
        &BLOCK_PAYLOAD,
        "Lifts a block for one contact who wants advertising again; other contacts with the address stay blocked.",
    ),
    mutation(
        "recordConsent",
        MutationKind::RecordConsent,
        &RECORD_CONSENT,
        &CONSENT_PAYLOAD,
        "Records a consent with its evidence (Art. 7(1)).",
    ),
    mutation(
        "requestConsent",
        MutationKind::RequestConsent,
        &REQUEST_CONSENT,
        &CONSENT_PAYLOAD,
        "Starts a double opt-in: the person confirms through a mailed link. With an address the result is always null, whether or not a contact has it.",
    ),
    mutation(
        "renewConsent",
        MutationKind::RenewConsent,
        &RENEW_CONSENT,
        &CONSENT_PAYLOAD,
        "Records that the person renewed a consent that is in force or has expired (Art. 7(1)).",
    ),
    mutation(
        "withdrawConsent",
        MutationKind::WithdrawConsent,
        &WITHDRAW_CONSENT,
        &CONSENT_PAYLOAD,
        "Withdraws consents (Art. 7(3)), effective from the next read.",
    ),
    mutation(
        "openRequest",
        MutationKind::OpenRequest,
        &OPEN_REQUEST,
        &REQUEST_PAYLOAD,
        "Opens a data-subject request.",
    ),
    mutation(
        "cancelRequest",
        MutationKind::CancelRequest,
        &CANCEL_REQUEST,
        &REQUEST_PAYLOAD,
        "Cancels a request that the person takes back.",
    ),
    mutation(
        "restrictContact",
        MutationKind::RestrictContact,
        &RESTRICT_CONTACT,
        &CONTACT_PAYLOAD,
        "Restricts the processing of a contact (Art. 18).",
    ),
    mutation(
        "liftRestriction",
        MutationKind::LiftRestriction,
        &LIFT_RESTRICTION,
        &CONTACT_PAYLOAD,
        "Lifts the restrictions of a contact (Art. 18(3)).",
    ),
    mutation(
        "createRecipient",
        MutationKind::CreateRecipient,
        &CREATE_RECIPIENT,
        &RECIPIENT_PAYLOAD,
        "Creates a recipient.",
    ),
    mutation(
        "acknowledgeStops",
        MutationKind::AcknowledgeStops,
        &ACKNOWLEDGE_STOPS,
        &RECIPIENT_PAYLOAD,
        "Records that a recipient has acted on a stop file; a recipient does so for itself.",
    ),
    mutation(
        "createAccessToken",
        MutationKind::CreateAccessToken,
        &CREATE_ACCESS_TOKEN,
        &TOKEN_PAYLOAD,
        "Creates an access token and returns its secret, once.",
    ),
    Mutation {
        was: Some("id"),
        ..mutation(
            "revokeAccessToken",
            MutationKind::RevokeAccessToken,
            &REVOKE_ACCESS_TOKEN,
            &TOKEN_PAYLOAD,
            "Revokes an access token, effective from the next request.",
        )
    },
];

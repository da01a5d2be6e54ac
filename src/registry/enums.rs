//! Enums of the SDL, each value described. Room: registry.

/// An enum of the SDL.
#[derive(Debug)]
pub struct EnumType {
    /// Name in the SDL.
    pub name: &'static str,
    /// Description in the SDL.
    pub doc: &'static str,
    /// Values with their descriptions.
    pub values: &'static [(&'static str, &'static str)],
}

macro_rules! enums {
    ($($(#[$meta:meta])* $id:ident = $name:literal $doc:literal { $($value:literal $value_doc:literal)* })*) => {
        $(pub(super) static $id: EnumType =
            EnumType { name: $name, doc: $doc, values: &[$(($value, $value_doc)),*] };)*

        /// Every enum of governed fields.
        pub static ENUMS: &[&EnumType] = &[$(&$id),*];
    };
}

enums! {
    CONTACT_STATE = "ContactState" "State of a contact's record." {
        "ACTIVE" "In use."
        "RESTRICTED" "Processing is restricted (Art. 18)."
        "RETAINED" "Kept apart because a law demands it (Art. 17(3)(b))."
        "ERASED" "Erased (Art. 17)."
    }
    CONTACT_POINT_KIND = "ContactPointKind" "Kind of a contact point." {
        "EMAIL" "E-mail address."
        "PHONE" "Phone number."
        "POSTAL" "Postal address."
    }
    LEGAL_BASIS = "LegalBasis" "Legal basis (Art. 6(1) GDPR)." {
        "CONSENT" "Consent, point (a)."
        "CONTRACT" "Contract or steps before one, point (b)."
        "LEGAL_OBLIGATION" "Legal obligation, point (c)."
        "VITAL_INTERESTS" "Vital interests, point (d)."
        "PUBLIC_TASK" "Public task, point (e)."
        "LEGITIMATE_INTERESTS" "Legitimate interests, point (f)."
    }
    CHANNEL = "Channel" "Channel of communication; a consent holds for its channel only." {
        "EMAIL" "E-mail."
        "PHONE" "Phone calls."
        "SMS" "Text messages."
        "POST" "Letters."
    }
    CONSENT_STATUS = "ConsentStatus" "State of a consent." {
        "PENDING" "Asked for, not yet declared or confirmed."
        "GRANTED" "Given; the only state that permits processing."
        "REFUSED" "Refused."
        "WITHDRAWN" "Withdrawn (Art. 7(3))."
        "EXPIRED" "Ended by time."
        "INVALIDATED" "No longer valid, e.g. because the address changed."
    }
    CONSENT_EVENT_KIND = "ConsentEventKind" "What happened to a consent." {
        "REQUESTED" "It was asked for."
        "GRANTED" "The person granted it."
        "CONFIRMED" "The person confirmed it (double opt-in)."
        "REFUSED" "The person refused it."
        "WITHDRAWN" "The person withdrew it."
        "EXPIRED" "Its time ended."
        "INVALIDATED" "It lost its validity."
        "RENEWED" "The person declared it anew."
    }
    CHANGE_KIND = "ConsentChangeKind" "How a consent changed for those who follow." {
        "GRANTED" "It holds from then on."
        "ENDED" "It does not hold any more: withdrawn, objected to, ended by time, or the contact is out of reach."
    }
    BLOCK_KIND = "BlockKind" "Why an address of a contact is blocked." {
        "BLOCK" "Somebody who reads at the address declared that no advertising is to go there."
        "EXTERNAL_LIST" "The address stands on a list of others, e.g. a Robinson list; consents are not touched by it."
        "UNDELIVERABLE" "Messages to the address come back. This is no declaration of anybody."
    }
    REQUEST_KIND = "RequestKind" "Which right a request uses." {
        "ACCESS" "Access (Art. 15)."
        "RECTIFICATION" "Rectification (Art. 16)."
        "ERASURE" "Erasure (Art. 17)."
        "RESTRICTION" "Restriction (Art. 18)."
        "PORTABILITY" "Portability (Art. 20)."
        "OBJECTION" "Objection (Art. 21)."
    }
    REQUEST_STATUS = "RequestStatus" "Where the work on a request stands." {
        "RECEIVED" "Received."
        "AWAITING_IDENTITY" "The identity is being verified."
        "IN_PROGRESS" "Being worked on."
        "FULFILLED" "Fulfilled."
        "PARTLY_FULFILLED" "Fulfilled in part."
        "REFUSED" "Refused with reasons (Art. 12(4))."
        "CANCELLED" "Taken back by the person."
    }
    RECIPIENT_KIND = "RecipientKind" "Role of a recipient in the processing." {
        "PROCESSOR" "Processor (Art. 28)."
        "CONTROLLER" "Controller of its own."
        "JOINT_CONTROLLER" "Joint controller (Art. 26)."
        "AUTHORITY" "Public authority."
        "INTERNAL" "A unit of the controller."
    }
    RESTRICTION_LIMB = "RestrictionLimb" "Point of Art. 18(1) that a restriction rests on." {
        "A" "The accuracy of the data is contested."
        "B" "The processing is unlawful and the person wants no erasure."
        "C" "The person needs the data for legal claims."
        "D" "An objection is being weighed."
    }
    AUDIT_OUTCOME = "AuditOutcome" "What an audited action did." {
        "CHANGED" "Something changed."
        "UNCHANGED" "Everything was as asked for already."
    }
}

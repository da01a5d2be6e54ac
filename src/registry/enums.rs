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

        /// Every enum used by governed fields.
        pub static ENUMS: &[&EnumType] = &[$(&$id),*];
    };
}

enums! {
    CONTACT_STATE = "ContactState" "State of a contact's record." {
        "ACTIVE" "In use."
        "RESTRICTED" "Processing is restricted (Art. 18)."
        "RETAINED" "Retained only because a law requires it (Art. 17(3)(b))."
        "ERASED" "Erased (Art. 17)."
    }
    CONTACT_POINT_KIND = "ContactPointKind" "Kind of a contact point." {
        "EMAIL" "E-mail address."
        "PHONE" "Phone number."
        "POSTAL" "Postal address."
    }
    LEGAL_BASIS = "LegalBasis" "Legal basis (Art. 6(1) GDPR)." {
        "CONSENT" "Consent, point (a)."
        "CONTRACT" "Contract or pre-contractual steps, point (b)."
        "LEGAL_OBLIGATION" "Legal obligation, point (c)."
        "VITAL_INTERESTS" "Vital interests, point (d)."
        "PUBLIC_TASK" "Public task, point (e)."
        "LEGITIMATE_INTERESTS" "Legitimate interests, point (f)."
    }
    CHANNEL = "Channel" "Channel of communication; a consent covers its channel only." {
        "EMAIL" "E-mail."
        "PHONE" "Phone calls."
        "SMS" "Text messages."
        "POST" "Letters."
    }
    CONSENT_STATUS = "ConsentStatus" "State of a consent." {
        "PENDING" "Requested, not yet given or confirmed."
        "GRANTED" "Given; the only state that permits processing."
        "REFUSED" "Refused."
        "WITHDRAWN" "Withdrawn (Art. 7(3))."
        "EXPIRED" "Expired."
        "INVALIDATED" "No longer valid, e.g. because the address changed."
    }
    CONSENT_EVENT_KIND = "ConsentEventKind" "What happened to a consent." {
        "REQUESTED" "It was requested."
        "GRANTED" "The person granted it."
        "CONFIRMED" "The person confirmed it (double opt-in)."
        "REFUSED" "The person refused it."
        "WITHDRAWN" "The person withdrew it."
        "EXPIRED" "It expired."
        "INVALIDATED" "It became invalid."
        "RENEWED" "The person renewed it."
    }
    CHANGE_KIND = "ConsentChangeKind" "How a consent changed." {
        "GRANTED" "It holds from then on."
        "ENDED" "It no longer holds: withdrawn, objected to, expired, or the contact may no longer be processed."
    }
    BLOCK_KIND = "BlockKind" "Why an address of a contact is blocked." {
        "BLOCK" "Someone who receives mail at the address declared that no advertising may be sent there."
        "EXTERNAL_LIST" "The address is on an external list, e.g. a Robinson list; this does not affect consents."
        "UNDELIVERABLE" "Messages to the address bounce. This is not a declaration by anyone."
    }
    REQUEST_KIND = "RequestKind" "The right that a request exercises." {
        "ACCESS" "Access (Art. 15)."
        "RECTIFICATION" "Rectification (Art. 16)."
        "ERASURE" "Erasure (Art. 17)."
        "RESTRICTION" "Restriction (Art. 18)."
        "PORTABILITY" "Portability (Art. 20)."
        "OBJECTION" "Objection (Art. 21)."
    }
    REQUEST_STATUS = "RequestStatus" "Processing status of a request." {
        "RECEIVED" "Received."
        "AWAITING_IDENTITY" "The identity is being verified."
        "IN_PROGRESS" "In progress."
        "FULFILLED" "Fulfilled."
        "PARTLY_FULFILLED" "Partially fulfilled."
        "REFUSED" "Refused with reasons (Art. 12(4))."
        "CANCELLED" "Withdrawn by the person."
    }
    RECIPIENT_KIND = "RecipientKind" "Role of a recipient in the processing." {
        "PROCESSOR" "Processor (Art. 28)."
        "CONTROLLER" "Independent controller."
        "JOINT_CONTROLLER" "Joint controller (Art. 26)."
        "AUTHORITY" "Public authority."
        "INTERNAL" "A unit of the controller."
    }
    RESTRICTION_LIMB = "RestrictionLimb" "Point of Art. 18(1) on which a restriction is based." {
        "A" "The accuracy of the data is contested."
        "B" "The processing is unlawful and the person opposes erasure."
        "C" "The person needs the data for legal claims."
        "D" "An objection is being assessed."
    }
    AUDIT_OUTCOME = "AuditOutcome" "The effect of an audited action." {
        "CHANGED" "Something changed."
        "UNCHANGED" "Nothing changed; everything was already as requested."
    }
}

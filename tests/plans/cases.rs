//! What clients ask: one case for each shape of statement that the engine sends.

/// One question.
pub struct Case {
    /// Heading of its snapshot.
    pub name: &'static str,
    pub role: &'static str,
    pub purpose: &'static str,
    /// `{cursor}` stands for the one found by `cursor`, `{contact}` and `{consent}` for ids.
    pub query: &'static str,
    /// What tells the cursor: a query of one connection with `pageInfo { endCursor }`.
    pub cursor: Option<&'static str>,
    /// Why it may read a table from one end to the other.
    pub reads_all: Option<&'static str>,
}

const fn case(name: &'static str, role: &'static str, purpose: &'static str, query: &'static str) -> Case {
    Case { name, role, purpose, query, cursor: None, reads_all: None }
}

impl Case {
    const fn behind(mut self, cursor: &'static str) -> Self {
        self.cursor = Some(cursor);
        self
    }

    const fn reads_all(mut self, reason: &'static str) -> Self {
        self.reads_all = Some(reason);
        self
    }
}

const COUNT: &str = "who counts all must find all; the right to it is given apart";
const SEARCH: &str = "a part of a word can stand anywhere; no index of both databases knows where";
const COVER: &str = "a value counts as missing where no consent covers it, and no index is in that order";
const UNINDEXED: &str = "too rarely asked for to have every write keep an index";

/// Every case.
pub static CASES: &[Case] = &[
    // Pages, by each kind of ground.
    case(
        "first page, on consent",
        "marketing",
        "newsletter",
        "{ contacts(first: 50) { nodes { id givenName familyName email country } } }",
    ),
    case(
        "first page, on recorded grounds",
        "support",
        "customer_care",
        "{ contacts(first: 50) { nodes { id familyName email phone city } } }",
    ),
    case(
        "first page, on recorded grounds that can be objected to",
        "marketing",
        "direct_mail",
        "{ contacts(first: 50) { nodes { id familyName street city } } }",
    ),
    case(
        "first page, of every contact",
        "dpo",
        "rights_fulfilment",
        "{ contacts(first: 50) { nodes { id familyName email } } }",
    ),
    case(
        "page behind a deep cursor, on consent",
        "marketing",
        "newsletter",
        "{ contacts(first: 50, after: \"{cursor}\") { nodes { id familyName email } } }",
    )
    .behind("{ contacts(last: 200) { pageInfo { startCursor } } }"),
    case(
        "page before a deep cursor, on recorded grounds",
        "support",
        "customer_care",
        "{ contacts(last: 50, before: \"{cursor}\") { nodes { id familyName } } }",
    )
    .behind("{ contacts(last: 200) { pageInfo { startCursor } } }"),
    case(
        "last page, on consent",
        "marketing",
        "newsletter",
        "{ contacts(last: 50) { nodes { id familyName } } }",
    ),
    case(
        "how many, on consent",
        "marketing",
        "newsletter",
        "{ contacts(first: 50) { totalCount } }",
    )
    .reads_all(COUNT),
    case(
        "how many, of every contact",
        "dpo",
        "rights_fulfilment",
        "{ contacts(first: 50) { totalCount } }",
    )
    .reads_all(COUNT),
    // One of them.
    case(
        "one contact, on consent",
        "marketing",
        "newsletter",
        "{ contact(id: \"{contact}\") { id givenName familyName email country } }",
    ),
    case(
        "one contact, on recorded grounds",
        "support",
        "customer_care",
        "{ contact(id: \"{contact}\") { id familyName } }",
    ),
    case(
        "one contact, of every contact",
        "dpo",
        "rights_fulfilment",
        "{ contact(id: \"{contact}\") { id familyName } }",
    ),
    case(
        "one consent",
        "marketing",
        "newsletter",
        "{ consent(id: \"{consent}\") { id status } }",
    ),
    // Filters.
    case(
        "filter by a name",
        "marketing",
        "newsletter",
        "{ contacts(first: 50, filter: { familyName: { eq: \"Becker 17\" } }) { nodes { id familyName } } }",
    ),
    case(
        "filter by a rare beginning",
        "marketing",
        "newsletter",
        "{ contacts(first: 50, filter: { familyName: { startsWith: \"Becker 17\" } }) { nodes { id familyName } } }",
    ),
    case(
        "filter by a frequent beginning",
        "marketing",
        "newsletter",
        "{ contacts(first: 50, filter: { familyName: { startsWith: \"Be\" } }) { nodes { id familyName } } }",
    ),
    case(
        "filter by a frequent beginning, in that order",
        "marketing",
        "newsletter",
        "{ contacts(first: 50, filter: { familyName: { startsWith: \"Be\" } }, \
         orderBy: [{ field: FAMILY_NAME, direction: ASC }]) { nodes { id familyName } } }",
    ),
    case(
        "filter by some names",
        "support",
        "customer_care",
        "{ contacts(first: 50, filter: { familyName: { in: [\"Becker 17\", \"Otto 3\", \"Graf 99\"] } }) { nodes { id } } }",
    ),
    case(
        "filter by an address, in full",
        "support",
        "customer_care",
        "{ contacts(first: 50, filter: { email: { eq: \"Anna.Claasen.16@example.org\" } }) { nodes { id email } } }",
    ),
    case(
        "filter by an address, bound to its channel",
        "marketing",
        "newsletter",
        "{ contacts(first: 50, filter: { email: { eq: \"Anna.Claasen.16@example.org\" } }) { nodes { id email } } }",
    ),
    case(
        "filter by a number",
        "support",
        "customer_care",
        "{ contacts(first: 50, filter: { phone: { eq: \"+49 30 20000123\" } }) { nodes { id phone } } }",
    ),
    case(
        "filter by a postal code",
        "support",
        "customer_care",
        "{ contacts(first: 50, filter: { postalCode: { eq: \"10123\" } }) { nodes { id city } } }",
    ),
    case(
        "filter by a job title",
        "support",
        "customer_care",
        "{ contacts(first: 50, filter: { jobTitle: { eq: \"Diver\" } }) { nodes { id jobTitle } } }",
    )
    .reads_all(UNINDEXED),
    case(
        "filter by instants",
        "dpo",
        "rights_fulfilment",
        "{ contacts(first: 50, filter: { createdAt: { gte: \"2026-01-05T09:00:00Z\", lt: \"2026-01-05T09:01:00Z\" } }) \
         { nodes { id createdAt } } }",
    ),
    case(
        "filter by what changed lately",
        "support",
        "customer_care",
        "{ contacts(first: 50, filter: { updatedAt: { gte: \"2026-01-05T10:46:20Z\" } }, \
         orderBy: [{ field: UPDATED_AT, direction: ASC }]) { nodes { id updatedAt } } }",
    ),
    case(
        "filter by state",
        "dpo",
        "rights_fulfilment",
        "{ contacts(first: 50, filter: { state: { eq: RESTRICTED } }) { nodes { id state } } }",
    )
    .reads_all(UNINDEXED),
    case(
        "filter by one of two fields",
        "support",
        "customer_care",
        "{ contacts(first: 50, filter: { or: [{ familyName: { eq: \"Becker 17\" } }, { company: { eq: \"Works 99\" } }] }) \
         { nodes { id } } }",
    ),
    // Orders.
    case(
        "order by a name",
        "marketing",
        "newsletter",
        "{ contacts(first: 50, orderBy: [{ field: FAMILY_NAME, direction: ASC }]) { nodes { id familyName } } }",
    ),
    case(
        "order by a name, downwards",
        "marketing",
        "newsletter",
        "{ contacts(first: 50, orderBy: [{ field: FAMILY_NAME, direction: DESC }]) { nodes { id familyName } } }",
    ),
    case(
        "order by a country, downwards",
        "support",
        "customer_care",
        "{ contacts(first: 50, orderBy: [{ field: COUNTRY, direction: DESC }]) { nodes { id country } } }",
    ),
    case(
        "order by a name, behind a deep cursor",
        "marketing",
        "newsletter",
        "{ contacts(first: 50, after: \"{cursor}\", orderBy: [{ field: FAMILY_NAME, direction: ASC }]) \
         { nodes { id familyName } } }",
    )
    .behind(
        "{ contacts(last: 200, orderBy: [{ field: FAMILY_NAME, direction: ASC }]) { pageInfo { startCursor } } }",
    ),
    case(
        "order by a name, downwards, behind a deep cursor",
        "support",
        "customer_care",
        "{ contacts(first: 50, after: \"{cursor}\", orderBy: [{ field: FAMILY_NAME, direction: DESC }]) \
         { nodes { id familyName } } }",
    )
    .behind(
        "{ contacts(last: 200, orderBy: [{ field: FAMILY_NAME, direction: DESC }]) { pageInfo { startCursor } } }",
    ),
    case(
        "order by when it was made",
        "dpo",
        "rights_fulfilment",
        "{ contacts(first: 50, orderBy: [{ field: CREATED_AT, direction: DESC }]) { nodes { id createdAt } } }",
    ),
    case(
        "order by an address, bound to its channel",
        "marketing",
        "newsletter",
        "{ contacts(first: 50, orderBy: [{ field: EMAIL, direction: ASC }]) { nodes { id email } } }",
    )
    .reads_all(COVER),
    // Search.
    case(
        "search for what many have",
        "support",
        "customer_care",
        "{ contacts(first: 50, search: \"becker\") { nodes { id familyName } } }",
    ),
    case(
        "search for what one has",
        "support",
        "customer_care",
        "{ contacts(first: 50, search: \"becker.4711\") { nodes { id familyName } } }",
    )
    .reads_all(SEARCH),
    // What hangs on contacts.
    case(
        "consents of a page",
        "marketing",
        "newsletter",
        "{ contacts(first: 50) { nodes { id consents { nodes { status grantedAt purpose { code } } } } } }",
    ),
    case(
        "all that hangs on a page",
        "dpo",
        "rights_fulfilment",
        "{ contacts(first: 50) { nodes { id contactPoints { email } provenance { source } grounds { since } \
         objections { objectedAt } restrictions { limb } requests { nodes { kind dueAt } } \
         consents { nodes { status events { kind } text { version } } } } } }",
    ),
    case(
        "contact points, bound to their channel",
        "partner",
        "newsletter",
        "{ contacts(first: 50) { nodes { id email } } }",
    ),
    // Other lists.
    case(
        "consents",
        "marketing",
        "newsletter",
        "{ consents(first: 50) { nodes { id status contact { id familyName } } } }",
    ),
    case(
        "consents, of every contact",
        "dpo",
        "rights_fulfilment",
        "{ consents(first: 50) { nodes { id status } } }",
    ),
    case(
        "consents to be reviewed",
        "dpo",
        "rights_fulfilment",
        "{ consents(first: 50, filter: { reviewDue: true }) { nodes { id reviewDueAt } } }",
    ),
    case(
        "consents by status",
        "dpo",
        "rights_fulfilment",
        "{ consents(first: 50, filter: { status: { eq: WITHDRAWN } }) { nodes { id withdrawnAt } } }",
    ),
    case(
        "how many consents",
        "dpo",
        "rights_fulfilment",
        "{ consents(first: 50) { totalCount } }",
    )
    .reads_all(COUNT),
    case(
        "requests",
        "dpo",
        "rights_fulfilment",
        "{ privacyRequests(first: 50) { nodes { id kind contact { id familyName } } } }",
    ),
    case(
        "requests by when they are due",
        "dpo",
        "rights_fulfilment",
        "{ privacyRequests(first: 50, orderBy: [{ field: DUE_AT, direction: ASC }], filter: { status: { eq: RECEIVED } }) \
         { nodes { id dueAt } } }",
    ),
    case(
        "requests that are overdue",
        "dpo",
        "rights_fulfilment",
        "{ privacyRequests(first: 50, filter: { overdue: true }) { nodes { id dueAt } } }",
    ),
    case(
        "audit log",
        "auditor",
        "security_audit",
        "{ auditLog(first: 50) { nodes { id at actor action } } }",
    ),
    case(
        "audit log, newest first",
        "auditor",
        "security_audit",
        "{ auditLog(first: 50, orderBy: [{ field: AT, direction: DESC }]) { nodes { id at } } }",
    ),
    case(
        "audit log of a contact",
        "dpo",
        "rights_fulfilment",
        "{ auditLog(first: 50, filter: { contactId: { eq: \"{contact}\" } }) { nodes { id action before after } } }",
    ),
    case(
        "audit log of a thing",
        "auditor",
        "security_audit",
        "{ auditLog(first: 50, filter: { entityId: { eq: \"{contact}\" } }) { nodes { id action } } }",
    ),
    case(
        "audit log of a day",
        "auditor",
        "security_audit",
        "{ auditLog(first: 50, filter: { at: { gte: \"2026-01-07T00:00:00Z\", lt: \"2026-01-07T00:30:00Z\" } }) \
         { nodes { id at } } }",
    ),
    case(
        "audit log of a request",
        "auditor",
        "security_audit",
        "{ auditLog(first: 50, filter: { requestId: { eq: \"request-4711\" } }) { nodes { id action } } }",
    )
    .reads_all(UNINDEXED),
    case(
        "audit log of an actor",
        "auditor",
        "security_audit",
        "{ auditLog(first: 50, filter: { actor: { eq: \"token:7\" } }) { nodes { id action } } }",
    ),
    case(
        "changes of consents",
        "partner",
        "newsletter",
        "{ consentChanges(first: 50, after: \"{cursor}\") { nodes { id kind at } } }",
    )
    .behind("{ consentChanges(last: 200) { pageInfo { startCursor } } }"),
];

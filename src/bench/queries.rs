//! The standard queries, and how each kind of server is asked for them. Room: bench.

use serde::Serialize;
use serde_json::json;

use super::Baseline;

/// Stands for the id in a path or body.
pub const ID: &str = "@ID@";

/// A standard query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Query {
    /// The first 100 contacts, each with its consents.
    Q1,
    /// One contact by id; ids rotate.
    Q2,
    /// The first 1,000 contacts, flat.
    Q3,
    /// Q1 in a role that may not read one of its fields.
    Q4,
    /// One consent withdrawn by id; ids rotate.
    M1,
}

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The server itself.
    Governed,
    /// Handlers written by hand.
    Hand,
    /// Stock async-graphql with DataLoader.
    Stock,
}

impl Kind {
    /// Everybody.
    pub const ALL: [Kind; 3] = [Kind::Governed, Kind::Hand, Kind::Stock];

    /// The word in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Governed => "governed",
            Kind::Hand => "hand",
            Kind::Stock => "stock",
        }
    }

    /// The command that starts it, behind the program.
    pub fn command(self) -> &'static [&'static str] {
        match self {
            Kind::Governed => &["serve"],
            Kind::Hand => &["baseline", "hand"],
            Kind::Stock => &["baseline", "stock"],
        }
    }
}

impl Baseline {
    /// The baseline that `word` names on the command line.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "hand" => Some(Baseline::Hand),
            "stock" => Some(Baseline::Stock),
            _ => None,
        }
    }
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BenchRequest {
    /// Its method.
    pub method: &'static str,
    /// Its path.
    pub path: String,
    /// Its body, JSON; empty for none.
    pub body: String,
}

const Q1: &str = "{ contacts(first: 100) { nodes { id givenName familyName email company city country \
                  consents { nodes { status grantedAt purpose { code } } } } } }";
const Q2: &str =
    "query($id: ID!) { contact(id: $id) { id givenName familyName email company jobTitle city country } }";
const Q3: &str =
    "{ contacts(first: 1000) { nodes { id givenName familyName email company jobTitle city country } } }";
const M1: &str = "mutation($id: ID!) { withdrawConsent(input: {consentId: $id}) { consent { id status } } }";

impl Query {
    /// All of them, and who answers each.
    pub const LOADS: [(Query, Kind); 12] = [
        (Query::Q1, Kind::Governed),
        (Query::Q1, Kind::Hand),
        (Query::Q1, Kind::Stock),
        (Query::Q4, Kind::Governed),
        (Query::Q2, Kind::Governed),
        (Query::Q2, Kind::Hand),
        (Query::Q2, Kind::Stock),
        (Query::Q3, Kind::Governed),
        (Query::Q3, Kind::Hand),
        (Query::Q3, Kind::Stock),
        (Query::M1, Kind::Governed),
        (Query::M1, Kind::Hand),
    ];

    /// The word in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Query::Q1 => "Q1",
            Query::Q2 => "Q2",
            Query::Q3 => "Q3",
            Query::Q4 => "Q4",
            Query::M1 => "M1",
        }
    }

    /// The request that asks `kind`, with [`ID`] where an id belongs.
    pub fn request(self, kind: Kind) -> BenchRequest {
        if kind == Kind::Hand {
            let (method, path) = match self {
                Query::Q1 | Query::Q4 => ("GET", "/q1".to_owned()),
                Query::Q2 => ("GET", format!("/q2/{ID}")),
                Query::Q3 => ("GET", "/q3".to_owned()),
                Query::M1 => ("POST", format!("/m1/{ID}")),
            };
            return BenchRequest { method, path, body: String::new() };
        }
        let body = match self {
            Query::Q1 | Query::Q4 => json!({ "query": Q1 }),
            Query::Q2 => json!({ "query": Q2, "variables": { "id": ID } }),
            Query::Q3 => json!({ "query": Q3 }),
            Query::M1 => json!({ "query": M1, "variables": { "id": ID } }),
        };
        BenchRequest { method: "POST", path: "/graphql".to_owned(), body: body.to_string() }
    }
}

impl BenchRequest {
    /// The same about the thing `id`.
    pub fn about(&self, id: &str) -> Self {
        Self { method: self.method, path: self.path.replace(ID, id), body: self.body.replace(ID, id) }
    }
}

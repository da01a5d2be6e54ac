//! Answers to the reads of an export (floor 6).

use serde::Deserialize;
use serde_json::{Map, Value as Json};

use crate::error::{Code, Error};

/// A page of contacts.
pub(super) struct Page {
    /// The contacts.
    pub nodes: Vec<Map<String, Json>>,
    /// The cursor behind which more of them are, if there are.
    pub next: Option<String>,
    /// Values that a missing consent kept back, by coordinate.
    pub withheld: Vec<(String, u64)>,
}

/// An answer as it comes.
#[derive(Deserialize)]
pub(super) struct Body {
    data: Option<Data>,
    #[serde(default)]
    errors: Vec<Problem>,
    #[serde(default)]
    extensions: Extensions,
}

#[derive(Deserialize)]
struct Data {
    contacts: Option<Contacts>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Contacts {
    nodes: Vec<Map<String, Json>>,
    page_info: PageInfo,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    has_next_page: bool,
    end_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Problem {
    message: String,
    extensions: About,
}

#[derive(Deserialize)]
struct About {
    code: String,
    coordinate: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Extensions {
    withheld: Vec<Withheld>,
}

#[derive(Deserialize)]
struct Withheld {
    coordinate: String,
    count: u64,
}

impl Body {
    /// The page it holds.
    ///
    /// # Errors
    /// The first of its own.
    pub fn page(self) -> Result<Page, Error> {
        if let Some(Problem { message, extensions: About { code, coordinate } }) =
            self.errors.into_iter().next()
        {
            let error = Error::new(Code::parse(&code).unwrap_or(Code::Internal), message);
            return Err(match coordinate {
                Some(coordinate) => error.at(coordinate),
                None => error,
            });
        }
        let contacts = self.data.and_then(|data| data.contacts);
        let Contacts { nodes, page_info } =
            contacts.ok_or_else(|| Error::internal("an answer without a page"))?;
        let next = page_info.end_cursor.filter(|_| page_info.has_next_page);
        let withheld = self.extensions.withheld.into_iter().map(|one| (one.coordinate, one.count)).collect();
        Ok(Page { nodes, next, withheld })
    }
}

//! Every contact that a caller sees, read page by page as a client does, and what an answer holds. Room: exchange.

use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use crate::{
    app::App,
    auth::actor::Actor,
    base::error::{Code, Error},
    graphql::{Pipeline, Request},
    policy::Action,
    registry::ObjectType,
};

/// Contacts that are read at once.
const PAGE_SIZE: usize = 500;

/// The fields of `object` among `names` that `actor` may read in full.
pub fn readable<'a>(
    actor: &Actor,
    object: &ObjectType,
    names: impl IntoIterator<Item = &'a str>,
) -> Vec<&'a str> {
    let may = |name: &str| actor.may(&format!("{}.{name}", object.name), Action::Read);
    names.into_iter().filter(|name| may(name)).collect()
}

/// Reads contacts in pages, ordered by id. `caller` is asked anew for each, so that a credential that ends, ends the reading.
pub struct Pages<'a, F> {
    app: &'a App,
    engine: &'a Pipeline,
    caller: &'a F,
    document: String,
    after: Option<String>,
    ended: bool,
}

impl<'a, F: AsyncFn() -> Result<Actor, Error>> Pages<'a, F> {
    /// Pages of contacts with `selection`, the fields of each as a client selects them.
    pub fn new(app: &'a App, engine: &'a Pipeline, caller: &'a F, selection: &str) -> Self {
        let document = format!(
            "query($after: String) {{ contacts(first: {PAGE_SIZE}, after: $after) {{ nodes {{ {selection} }} pageInfo {{ hasNextPage \
             endCursor }} }} }}"
        );
        Self { app, engine, caller, document, after: None, ended: false }
    }

    /// The next page; `None` after the last.
    ///
    /// # Errors
    /// What `caller` gives; any error of the answer, a denial too.
    pub async fn next(&mut self) -> Result<Option<Page>, Error> {
        if self.ended {
            return Ok(None);
        }
        let actor = (self.caller)().await?;
        let variables = Map::from_iter([("after".to_owned(), json!(self.after))]);
        let request = Request { query: self.document.clone(), variables, strict: true, ..Request::default() };
        let answer = self.engine.execute(self.app, &actor, request).await;
        let body = serde_json::from_slice::<Body>(&answer.body);
        let page = body.map_err(|_| Error::internal("a page of contacts"))?.page()?;
        self.after.clone_from(&page.next);
        self.ended = page.next.is_none();
        Ok(Some(page))
    }
}

/// A page of contacts.
#[derive(Debug)]
pub struct Page {
    /// The contacts.
    pub nodes: Vec<Map<String, Json>>,
    /// The cursor behind which more of them are, if there are.
    next: Option<String>,
    /// Values that a missing consent kept back, by coordinate.
    pub withheld: Vec<(String, u64)>,
}

/// An answer as it comes.
#[derive(Deserialize)]
struct Body {
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
    fn page(self) -> Result<Page, Error> {
        refuse(self.errors)?;
        let contacts = self.data.and_then(|data| data.contacts);
        let Contacts { nodes, page_info } =
            contacts.ok_or_else(|| Error::internal("an answer without a page"))?;
        let next = page_info.end_cursor.filter(|_| page_info.has_next_page);
        let withheld = self.extensions.withheld.into_iter().map(|one| (one.coordinate, one.count)).collect();
        Ok(Page { nodes, next, withheld })
    }
}

/// The data of an answer.
///
/// # Errors
/// The first of its own.
pub fn data(body: &[u8]) -> Result<Map<String, Json>, Error> {
    #[derive(Deserialize)]
    struct Whole {
        data: Option<Map<String, Json>>,
        #[serde(default)]
        errors: Vec<Problem>,
    }
    let whole = serde_json::from_slice::<Whole>(body).map_err(|_| Error::internal("an answer"))?;
    refuse(whole.errors)?;
    whole.data.ok_or_else(|| Error::internal("an answer without data"))
}

/// The first of these errors, if there is one.
fn refuse(errors: Vec<Problem>) -> Result<(), Error> {
    let Some(Problem { message, extensions: About { code, coordinate } }) = errors.into_iter().next() else {
        return Ok(());
    };
    let error = Error::new(Code::parse(&code).unwrap_or(Code::Internal), message);
    Err(match coordinate {
        Some(coordinate) => error.at(coordinate),
        None => error,
    })
}

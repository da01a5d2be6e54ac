//! Reads every contact that a caller can see, page by page, as a client does. Room: exchange.

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

/// Contacts per page.
const PAGE_SIZE: usize = 500;

/// The fields of `object` among `names` that `actor` may read in full.
pub fn readable<'a>(
    actor: &Actor,
    object: &ObjectType,
    names: impl IntoIterator<Item = &'a str>,
) -> Vec<&'a str> {
    let can = |name: &str| actor.can(&format!("{}.{name}", object.name), Action::Read);
    names.into_iter().filter(|name| can(name)).collect()
}

/// Reads contacts in pages, ordered by id. `caller` authenticates again for each page, so an expired credential stops
/// the reading.
pub struct ContactPages<'a, F> {
    app: &'a App,
    pipeline: &'a Pipeline,
    caller: &'a F,
    document: String,
    after: Option<String>,
    ended: bool,
}

impl<'a, F: AsyncFn() -> Result<Actor, Error>> ContactPages<'a, F> {
    /// Pages of contacts with `selection`, the fields of each as a client selects them.
    pub fn new(app: &'a App, pipeline: &'a Pipeline, caller: &'a F, selection: &str) -> Self {
        let document = format!(
            "query($after: String) {{ contacts(first: {PAGE_SIZE}, after: $after) {{ nodes {{ {selection} }} pageInfo {{ hasNextPage \
             endCursor }} }} }}"
        );
        Self { app, pipeline, caller, document, after: None, ended: false }
    }

    /// The next page; `None` after the last.
    ///
    /// # Errors
    /// Those of `caller`; any error of the response, including a denial.
    pub async fn next(&mut self) -> Result<Option<ContactPage>, Error> {
        if self.ended {
            return Ok(None);
        }
        let actor = (self.caller)().await?;
        let variables = Map::from_iter([("after".to_owned(), json!(self.after))]);
        let request = Request { query: self.document.clone(), variables, strict: true, ..Request::default() };
        let answer = self.pipeline.execute(self.app, &actor, request).await;
        let body = serde_json::from_slice::<Body>(&answer.body);
        let page = body.map_err(|_| Error::internal("a page of contacts"))?.page()?;
        self.after.clone_from(&page.next);
        self.ended = page.next.is_none();
        Ok(Some(page))
    }
}

/// A page of contacts.
#[derive(Debug)]
pub struct ContactPage {
    /// The contacts.
    pub nodes: Vec<Map<String, Json>>,
    /// The cursor of the next page, if there is one.
    next: Option<String>,
    /// Number of values withheld for lack of consent, by coordinate.
    pub withheld: Vec<(String, u64)>,
}

/// A response body.
#[derive(Deserialize)]
struct Body {
    data: Option<Data>,
    #[serde(default)]
    errors: Vec<ResponseError>,
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
struct ResponseError {
    message: String,
    extensions: ErrorExtensions,
}

#[derive(Deserialize)]
struct ErrorExtensions {
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
    /// The page in the response.
    ///
    /// # Errors
    /// The first error of the response.
    fn page(self) -> Result<ContactPage, Error> {
        first_error(self.errors)?;
        let contacts = self.data.and_then(|data| data.contacts);
        let Contacts { nodes, page_info } =
            contacts.ok_or_else(|| Error::internal("an answer without a page"))?;
        let next = page_info.end_cursor.filter(|_| page_info.has_next_page);
        let withheld =
            self.extensions.withheld.into_iter().map(|entry| (entry.coordinate, entry.count)).collect();
        Ok(ContactPage { nodes, next, withheld })
    }
}

/// The data of a response.
///
/// # Errors
/// The first error of the response.
pub fn data(body: &[u8]) -> Result<Map<String, Json>, Error> {
    #[derive(Deserialize)]
    struct DataBody {
        data: Option<Map<String, Json>>,
        #[serde(default)]
        errors: Vec<ResponseError>,
    }
    let body = serde_json::from_slice::<DataBody>(body).map_err(|_| Error::internal("an answer"))?;
    first_error(body.errors)?;
    body.data.ok_or_else(|| Error::internal("an answer without data"))
}

/// Fails with the first of these errors, if there is one.
fn first_error(errors: Vec<ResponseError>) -> Result<(), Error> {
    let Some(ResponseError { message, extensions: ErrorExtensions { code, coordinate } }) =
        errors.into_iter().next()
    else {
        return Ok(());
    };
    let error = Error::new(Code::parse(&code).unwrap_or(Code::Internal), message);
    Err(match coordinate {
        Some(coordinate) => error.with_coordinate(coordinate),
        None => error,
    })
}

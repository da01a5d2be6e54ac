//! One operation from document to answer: parse, bound, validate, plan, read, write (floor 5).

use async_graphql::{
    Pos, Request as Stock, Value as Json, Variables,
    dynamic::Schema,
    parser::{parse_query, types::ExecutableDocument},
};

use super::answer::{Problem, Response, error_body};
use crate::{
    context::{Actor, App},
    error::{Code, Error},
    governed::{Limits, Operation, Plan, read},
};

/// What a client asks.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The document.
    pub query: String,
    /// Which of its operations.
    pub operation_name: Option<String>,
    /// Variables.
    pub variables: serde_json::Map<String, serde_json::Value>,
    /// Whether the client prefers failure to a partial answer.
    pub strict: bool,
}

/// How far an operation came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was executed; the answer may still hold errors.
    Executed,
    /// The document does not parse, does not fit the schema or asks for too much; nothing was executed.
    Invalid,
    /// It was refused as a whole.
    Refused(Code),
}

/// The whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The response, JSON.
    pub body: Vec<u8>,
    /// How far the operation came.
    pub outcome: Outcome,
}

/// Answers operations.
pub struct Engine {
    schema: Schema,
    limits: Limits,
}

/// Most faults of a document that are told at once.
const MOST_FAULTS: usize = 10;

impl Engine {
    /// An engine over the schema of the register.
    ///
    /// # Errors
    /// `INTERNAL` when the register contradicts itself.
    pub fn new() -> Result<Self, Error> {
        let schema = super::build().map_err(|_| Error::internal("the schema cannot be built"))?;
        Ok(Self { schema, limits: Limits::default() })
    }

    /// The schema in the schema definition language.
    pub fn sdl(&self) -> String {
        self.schema.sdl()
    }

    /// Answers `request` for `actor`.
    pub async fn execute(&self, app: &App, actor: &Actor, request: Request) -> Answer {
        let document = match parse(&request.query) {
            Ok(document) => document,
            Err(problem) => return invalid(vec![problem], actor),
        };
        match self.run(app, actor, request, &document).await {
            Ok(answer) => answer,
            Err(error) if matches!(error.code, Code::BadUserInput | Code::QueryTooComplex) => {
                invalid(vec![Problem::of(error)], actor)
            }
            Err(error) => {
                let body = error_body(&error, &actor.request_id);
                Answer { body, outcome: Outcome::Refused(error.code) }
            }
        }
    }

    async fn run(
        &self,
        app: &App,
        actor: &Actor,
        request: Request,
        document: &ExecutableDocument,
    ) -> Result<Answer, Error> {
        let name = request.operation_name.as_deref();
        let operation = Operation::choose(document, name, request.variables.clone(), &self.limits)?;
        // Validates the whole document and answers introspection; no resolver runs.
        let variables = Variables::from_json(serde_json::Value::Object(request.variables));
        let mut stock = Stock::new("").variables(variables).only_introspection();
        stock.operation_name.clone_from(&request.operation_name);
        stock.set_parsed_query(document.clone());
        let validated = self.schema.execute(stock).await;
        if !validated.errors.is_empty() {
            return Ok(invalid(validated.errors.into_iter().take(MOST_FAULTS).map(fault).collect(), actor));
        }
        let plan = Plan::of(&operation, actor, &self.limits)?;
        log_refusals(&plan, actor);
        let problems: Vec<Problem> = plan.denials.iter().map(Problem::denied).collect();
        if let (true, Some(first)) = (request.strict, plan.denials.first()) {
            let response = Response { data: None, problems, withheld: Vec::new(), masked: &[] };
            return Ok(Answer { body: response.json(actor), outcome: Outcome::Refused(first.error.code) });
        }
        let reading = read(&plan, app, actor).await?;
        let mut response = Response { data: None, problems, withheld: Vec::new(), masked: &plan.masked };
        response.withheld =
            plan.withheld.iter().map(String::as_str).zip(reading.withheld.iter().copied()).collect();
        let mut data = Vec::with_capacity(reading.roots.len());
        for (key, json) in reading.roots {
            let json = match json {
                None => introspected(&validated.data, &key)?,
                Some(Ok(json)) => json,
                Some(Err(error)) => {
                    response.problems.push(Problem::at_root(error, &key));
                    "null".to_owned()
                }
            };
            data.push((key, json));
        }
        response.data = Some(data);
        Ok(Answer { body: response.json(actor), outcome: Outcome::Executed })
    }
}

/// Parses a document. What the parser says may quote the document, and with it values: only the place is told.
fn parse(query: &str) -> Result<ExecutableDocument, Problem> {
    parse_query(query).map_err(|error| {
        let positions = error.positions().collect();
        Problem { positions, ..Problem::of(Error::input("the document does not parse")) }
    })
}

fn invalid(problems: Vec<Problem>, actor: &Actor) -> Answer {
    let response = Response { data: None, problems, withheld: Vec::new(), masked: &[] };
    Answer { body: response.json(actor), outcome: Outcome::Invalid }
}

/// A fault found by validation, at most 300 characters of it.
fn fault(error: async_graphql::ServerError) -> Problem {
    let message: String = error.message.chars().take(300).collect();
    let positions: Vec<Pos> = error.locations.into_iter().take(MOST_FAULTS).collect();
    Problem { positions, ..Problem::of(Error::input(message)) }
}

fn introspected(data: &Json, key: &str) -> Result<String, Error> {
    let Json::Object(answers) = data else { return Ok("null".to_owned()) };
    let answer = answers.iter().find_map(|(name, value)| (name == key).then_some(value));
    serde_json::to_string(&answer).map_err(|_| Error::internal("introspection could not be written"))
}

/// The security log: who was refused what, and no value.
fn log_refusals(plan: &Plan, actor: &Actor) {
    for denial in &plan.denials {
        tracing::info!(
            target: "zweck::security",
            actor = %actor.id,
            purpose = actor.purpose.as_ref().map(|purpose| purpose.code.as_str()),
            request_id = %actor.request_id,
            code = denial.error.code.as_str(),
            coordinate = denial.error.coordinate.as_deref(),
            "refused"
        );
    }
}

//! One operation from document to answer: parse, bound, validate, plan, read, write. Room: graphql.

use std::{future::Future, sync::Arc, time::Duration};

use async_graphql::{
    Pos, Request as Stock, ValidationMode, Value as Json, Variables,
    dynamic::Schema,
    futures_util::StreamExt,
    parser::{parse_query, types::ExecutableDocument},
};
use tokio::time::Instant;

use super::{consent_state, faults::told, mutations, receipts, schema::model};
use crate::graphql::{
    document_cache::{Document, DocumentCache},
    input_types::InputTypes,
    plan_cache::{Key, PlanCache},
    response::{Problem, Response, error_body},
    schema_views::SchemaViewCache,
};
use crate::{
    app::App,
    audit::{self, Idempotency, Recorded},
    auth::actor::Actor,
    base::{
        error::{Code, Error},
        limits::Limits,
        metrics::{self, Timing},
    },
    domain::recipients::Uses,
    engine::{AnsweredBy, Executor, Operation, Plan, PlannedMutation, PlannedRoot, scan, skipped},
};

/// Who counts what operations cost.
pub trait CostMeter: std::fmt::Debug + Send + Sync {
    /// Takes `cost` from what the caller may still spend.
    ///
    /// # Errors
    /// `RATE_LIMITED`; `QUERY_TOO_COMPLEX` for what costs more than can ever be spent at once.
    fn charge(&self, cost: u64) -> Result<(), Error>;
}

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
    /// The client's key for safe retries of mutations.
    pub replay: Option<Idempotency>,
    /// Whether nothing may be written: the request came by a safe method.
    pub safe: bool,
    /// Who counts what it costs beyond 1, before anything is read or written.
    pub meter: Option<Arc<dyn CostMeter>>,
}

/// How far an operation came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was executed; the answer may still hold errors.
    Executed,
    /// The document does not parse, does not fit the schema or asks for too much; nothing was executed.
    Invalid,
    /// A mutation that came by a safe method; nothing was executed.
    Unsafe,
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
pub struct Pipeline {
    /// The whole schema, which documents are validated by.
    schema: Schema,
    /// What its input types take.
    shapes: InputTypes,
    views: SchemaViewCache,
    pub(super) limits: Limits,
    documents: DocumentCache,
    plans: PlanCache,
    /// What recipients got of late.
    pub(super) uses: Uses,
}

/// How long reading back what was written may take when the time of the operation is over.
const READING_BACK: Duration = Duration::from_secs(2);

impl Pipeline {
    /// An engine over the schema of the registry.
    ///
    /// # Errors
    /// `INTERNAL` when the registry contradicts itself.
    pub fn new() -> Result<Self, Error> {
        Self::within(Limits::default())
    }

    /// An engine with limits of its own.
    ///
    /// # Errors
    /// `INTERNAL` when the registry contradicts itself.
    pub fn within(limits: Limits) -> Result<Self, Error> {
        let model = model();
        let schema = model.schema(ValidationMode::Strict);
        let schema = schema.map_err(|_| Error::internal("the schema cannot be built"))?;
        let shapes = InputTypes::new(model.shapes());
        let (documents, plans) = (DocumentCache::new(), PlanCache::new());
        let (views, uses) = (SchemaViewCache::new(model), Uses::default());
        Ok(Self { schema, shapes, views, limits, documents, plans, uses })
    }

    /// Parses a document. What the parser says may quote the document, and with it values: only the place is told.
    pub(super) fn parse(&self, query: &str) -> Result<ExecutableDocument, Vec<Problem>> {
        scan(query, &self.limits).map_err(|error| vec![Problem::of(error)])?;
        parse_query(query).map_err(|error| {
            let positions: Vec<Pos> = error.positions().collect();
            let message = match positions.first() {
                Some(Pos { line, column }) => {
                    format!("the document does not parse: what stands at line {line}, column {column} was not expected there")
                }
                None => "the document does not parse".to_owned(),
            };
            vec![Problem { positions, ..Problem::of(Error::input(message)) }]
        })
    }

    /// The schema in the schema definition language.
    pub fn sdl(&self) -> String {
        self.schema.sdl()
    }

    /// The schema as far as `actor` may use it, in the schema definition language; without a purpose what the purposes of its
    /// credential permit, each by itself.
    ///
    /// # Errors
    /// `INTERNAL` when the registry contradicts itself.
    pub fn sdl_for(&self, actor: &Actor) -> Result<String, Error> {
        Ok(self.views.of(actor)?.sdl().to_owned())
    }

    /// Answers `request` for `actor`.
    pub async fn execute(&self, app: &App, actor: &Actor, request: Request) -> Answer {
        let mut timing = Timing::start();
        let deadline = Instant::now() + self.limits.operation_time();
        let document = match self.document(&request.query) {
            Ok(document) => document,
            Err(problems) => return invalid(problems, actor),
        };
        let planned = match self.plan(app, actor, &request, &document).await {
            Ok(Ok(planned)) => Ok(planned),
            Ok(Err(answer)) => return answer,
            Err(error) => Err(error),
        };
        let answer = match planned {
            Ok(planned) => self.run(app, actor, &request, planned, deadline, &mut timing).await,
            Err(error) => Err(error),
        };
        match answer {
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

    /// The document `query`, parsed now or of late.
    fn document(&self, query: &str) -> Result<Arc<Document>, Vec<Problem>> {
        match self.documents.get(query) {
            Some(document) => Ok(document),
            None => self.parse(query).map(|parsed| Arc::new(Document::new(parsed))),
        }
    }

    /// The plan of a request, made now or of late; or the answer to one that is not executed.
    async fn plan(
        &self,
        app: &App,
        actor: &Actor,
        request: &Request,
        document: &Arc<Document>,
    ) -> Result<Result<Planned, Answer>, Error> {
        let (name, variables) = (request.operation_name.as_deref(), &request.variables);
        let known = document.known(name, variables, &self.shapes);
        let key = known.as_ref().map(|choice| Key::of(document, choice, actor, variables));
        if let Some(plan) = key.as_ref().and_then(|key| self.plans.get(key)) {
            return Ok(Ok(Planned { plan, introspection: Json::Null }));
        }
        let mut operation = Operation::choose(&document.parsed, name, variables.clone(), &self.limits)?;
        if operation.subscribes {
            return Err(Error::input("subscriptions are served over WebSocket"));
        }
        if operation.writes && request.safe {
            let error = Error::input("mutations are sent by POST");
            let body = error_body(&error, &actor.request_id);
            return Ok(Err(Answer { body, outcome: Outcome::Unsafe }));
        }
        operation.late = known.as_ref().map_or(&[], |choice| choice.late.as_slice());
        let mut introspection = Json::Null;
        let stock = || Variables::from_json(serde_json::Value::Object(variables.clone()));
        if known.is_none() {
            let faults = self.faults(actor, &document.parsed, name, stock()).await?;
            if !faults.is_empty() {
                return Ok(Err(invalid(faults, actor)));
            }
            document.found_valid(name, variables);
            self.documents.keep(request.query.clone(), document.clone());
        }
        if let Some(document) = operation.introspection()? {
            let view = self.views.of(actor)?;
            match view.introspect(document, stock()).await {
                Ok(answer) => introspection = answer,
                Err(errors) => return Ok(Err(invalid(told(errors, &view), actor))),
            }
        }
        let plan = Plan::of(&operation, actor, &self.limits, &app.keys, app.now().date_naive())?;
        let plan = Arc::new(plan);
        if let (Some(key), true) = (key, plan.reusable) {
            self.plans.keep(key, plan.clone());
        }
        Ok(Ok(Planned { plan, introspection }))
    }

    /// What is wrong with the document by the whole schema, as `actor` may be told it. Everything of it is skipped: nothing runs.
    ///
    /// # Errors
    /// `INTERNAL` when the registry contradicts itself.
    pub(super) async fn faults(
        &self,
        actor: &Actor,
        document: &ExecutableDocument,
        name: Option<&str>,
        variables: Variables,
    ) -> Result<Vec<Problem>, Error> {
        let mut stock = Stock::new("").variables(variables).only_introspection();
        stock.operation_name = name.map(str::to_owned);
        stock.set_parsed_query(skipped(document.clone()));
        // As a stream, which takes subscriptions too; one of which everything is skipped ends without a word.
        let answer = self.schema.execute_stream(stock).next().await;
        match answer.map(|answer| answer.errors) {
            Some(errors) if !errors.is_empty() => Ok(told(errors, self.views.of(actor)?.as_ref())),
            _ => Ok(Vec::new()),
        }
    }

    async fn run(
        &self,
        app: &App,
        actor: &Actor,
        request: &Request,
        Planned { plan, introspection }: Planned,
        deadline: Instant,
        timing: &mut Timing,
    ) -> Result<Answer, Error> {
        let plan = plan.as_ref();
        timing.name(plan.name());
        metrics::decided(plan.allowed, plan.denials.len(), plan.masked.len());
        for denial in &plan.denials {
            log_refusal(&denial.error, actor, None);
        }
        let problems: Vec<Problem> =
            plan.denials.iter().map(|denial| Problem::denied(denial, plan.writes)).collect();
        if let (true, Some(first)) = (request.strict, plan.denials.first()) {
            let response = Response { data: None, problems, withheld: Vec::new(), masked: &[] };
            return Ok(Answer { body: response.json(actor), outcome: Outcome::Refused(first.error.code) });
        }
        if let (Some(meter), more @ 1..) = (&request.meter, plan.cost().saturating_sub(1)) {
            meter.charge(more)?;
        }
        if plan.makes_links {
            in_time(deadline, audit::ring(app)).await?;
        }
        if plan.of_persons && !plan.writes {
            in_time(deadline, self.uses.note(app, actor)).await?;
        }
        let mut executor = Executor::new(plan, app, actor, &request.variables)?;
        let mut response = Response { data: None, problems, withheld: Vec::new(), masked: &plan.masked };
        let mut data = Vec::with_capacity(plan.roots.len());
        // One after the other: mutations in the order of the document, each done before the next begins.
        for root in &plan.roots {
            let json = match root.answered_by() {
                // Apart, so that what only reads does not carry the room for it along: it is twenty times as much.
                AnsweredBy::Mutation(planned) => {
                    let replay = request.replay.as_ref();
                    let uses = plan.of_persons.then_some(&self.uses);
                    Box::pin(write((app, uses), actor, &mut executor, (root, planned), replay, deadline))
                        .await
                }
                AnsweredBy::Receipt(planned) => {
                    let reading = Box::pin(receipts::read(app, actor, planned));
                    in_time(deadline, reading).await.map(Some)
                }
                AnsweredBy::ConsentState(planned) => {
                    let reading = Box::pin(consent_state::read(app, actor, planned));
                    in_time(deadline, reading).await.map(Some)
                }
                AnsweredBy::Engine => in_time(deadline, Box::pin(executor.root(root))).await,
            };
            if json.as_ref().is_err_and(|error| error.transient) {
                tracing::error!("a read found no connection, or others in its way");
            }
            let json = match json {
                Ok(None) => introspected(&introspection, &root.key)?,
                Ok(Some(json)) => json,
                Err(error) => {
                    response.problems.push(Problem::at_root(error, &root.key));
                    "null".to_owned()
                }
            };
            data.push((root.key.clone(), json));
        }
        response.withheld = plan.withheld.iter().map(String::as_str).zip(executor.withheld).collect();
        response.data = Some(data);
        Ok(Answer { body: response.json(actor), outcome: Outcome::Executed })
    }
}

/// What is to be done, and what introspection has answered already.
struct Planned {
    plan: Arc<Plan>,
    introspection: Json,
}

/// Runs a mutation, which is never cut in half: begun in time it goes on to its end.
async fn write(
    (app, uses): (&App, Option<&Uses>),
    actor: &Actor,
    executor: &mut Executor<'_>,
    (root, planned): (&PlannedRoot, &PlannedMutation),
    replay: Option<&Idempotency>,
    deadline: Instant,
) -> Result<Option<String>, Error> {
    if Instant::now() >= deadline {
        let message = "this was not begun: what stands before it took too long";
        return Err(Error::new(Code::TimedOut, message));
    }
    let written = mutations::run(app, actor, &root.key, planned, replay).await;
    let (written, recorded) = written.inspect_err(|error| log_refusal(error, actor, Some(planned)))?;
    if recorded == Recorded::Later {
        let message =
            "this was done, and its entry in the audit log follows; until then nothing of it is shown";
        return Err(Error::new(Code::AuditUnavailable, message).but_done());
    }
    executor.refresh(app);
    // It is done, whatever comes of reading it back.
    let deadline = deadline.max(Instant::now() + READING_BACK);
    let read = async {
        if let Some(uses) = uses {
            uses.note(app, actor).await?;
        }
        executor.payload(planned, &written).await
    };
    in_time(deadline, Box::pin(read)).await.map(Some).map_err(|error| {
        let code = match error.code {
            code @ (Code::TimedOut | Code::AuditUnavailable) => code,
            _ => Code::Internal,
        };
        Error::new(code, "this was done, but what it made cannot be read now").but_done()
    })
}

/// What is not there by `deadline` is given up; what would begin after it is not begun.
async fn in_time<T>(deadline: Instant, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    if Instant::now() >= deadline {
        return Err(Error::timed_out());
    }
    tokio::time::timeout_at(deadline, work).await.unwrap_or_else(|_| Err(Error::timed_out()))
}

fn invalid(problems: Vec<Problem>, actor: &Actor) -> Answer {
    let response = Response { data: None, problems, withheld: Vec::new(), masked: &[] };
    Answer { body: response.json(actor), outcome: Outcome::Invalid }
}

fn introspected(data: &Json, key: &str) -> Result<String, Error> {
    let Json::Object(answers) = data else { return Ok("null".to_owned()) };
    let answer = answers.iter().find_map(|(name, value)| (name == key).then_some(value));
    serde_json::to_string(&answer).map_err(|_| Error::internal("introspection could not be written"))
}

/// The security log: who was refused what and why, and no value.
pub(super) fn log_refusal(error: &Error, actor: &Actor, planned: Option<&PlannedMutation>) {
    if !matches!(error.code, Code::Forbidden | Code::ForbiddenField | Code::NotFound | Code::Held) {
        return;
    }
    tracing::info!(
        target: "zweck::security",
        actor = %actor.id,
        purpose = actor.purpose.as_ref().map(|purpose| purpose.code.as_str()),
        request_id = %actor.request_id,
        code = error.code.as_str(),
        coordinate = error.coordinate.as_deref(),
        input = error.input.as_deref(),
        mutation = planned.map(|planned| planned.mutation.name),
        target_id = planned.and_then(PlannedMutation::target).map(tracing::field::display),
        "refused"
    );
}

//! One operation from document to response: parse, check limits, validate, plan, read, write. Room: graphql.

use std::{future::Future, sync::Arc, time::Duration};

use async_graphql::{
    Pos, Request as AgRequest, ValidationMode, Value as Json, Variables,
    dynamic::Schema,
    futures_util::StreamExt,
    parser::{parse_query, types::ExecutableDocument},
};
use tokio::time::Instant;

use super::{consent_state, mutations, receipts, schema::model, validation_errors::response_errors};
use crate::graphql::{
    document_cache::{Document, DocumentCache},
    input_types::InputTypes,
    plan_cache::{PlanCache, PlanKey},
    response::{ResponseError, ResponseParts, error_body},
    schema_views::SchemaViewCache,
};
use crate::{
    app::App,
    audit::{self, EntryTiming, Idempotency},
    auth::actor::Actor,
    base::{
        error::{Code, Error},
        limits::Limits,
        metrics::{self, OperationTimer},
    },
    domain::recipients::Uses,
    engine::{
        AnsweredBy, Executor, Operation, Plan, PlannedMutation, PlannedRoot, check_source, skip_all_fields,
    },
};

/// Charges the cost of operations.
pub trait CostMeter: std::fmt::Debug + Send + Sync {
    /// Deducts `cost` from the caller's remaining budget.
    ///
    /// # Errors
    /// `RATE_LIMITED`; `QUERY_TOO_COMPLEX` if the cost exceeds the whole budget.
    fn charge(&self, cost: u64) -> Result<(), Error>;
}

/// A GraphQL request.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The document.
    pub query: String,
    /// The operation to run.
    pub operation_name: Option<String>,
    /// Variables.
    pub variables: serde_json::Map<String, serde_json::Value>,
    /// Whether the client prefers failure to a partial response.
    pub strict: bool,
    /// The client's key for safe retries of mutations.
    pub idempotency: Option<Idempotency>,
    /// Whether the request came by a safe HTTP method, so that nothing may be written.
    pub safe: bool,
    /// Charged with the cost beyond 1 before anything is read or written.
    pub meter: Option<Arc<dyn CostMeter>>,
}

/// How far an operation got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was executed; the response may still contain errors.
    Executed,
    /// The document does not parse, does not match the schema or exceeds a limit; nothing was executed.
    Invalid,
    /// A mutation sent by a safe HTTP method; nothing was executed.
    Unsafe,
    /// The whole operation was refused.
    Refused(Code),
}

/// The complete response.
#[derive(Clone, Debug)]
pub struct Response {
    /// The JSON body.
    pub body: Vec<u8>,
    /// How far the operation got.
    pub outcome: Outcome,
}

/// Executes operations.
pub struct Pipeline {
    /// The complete schema, against which documents are validated.
    schema: Schema,
    /// The values that its input types accept.
    input_types: InputTypes,
    schema_views: SchemaViewCache,
    pub(super) limits: Limits,
    documents: DocumentCache,
    plans: PlanCache,
    /// Which recipients have received data recently.
    pub(super) uses: Uses,
}

/// How long reading back what was written may take when the time of the operation is over.
const READ_BACK_TIMEOUT: Duration = Duration::from_secs(2);

impl Pipeline {
    /// A pipeline for the schema of the registry.
    ///
    /// # Errors
    /// `INTERNAL` when the registry contradicts itself.
    pub fn new() -> Result<Self, Error> {
        Self::with_limits(Limits::default())
    }

    /// A pipeline with the given limits.
    ///
    /// # Errors
    /// `INTERNAL` when the registry contradicts itself.
    pub fn with_limits(limits: Limits) -> Result<Self, Error> {
        let model = model();
        let schema = model.schema(ValidationMode::Strict);
        let schema = schema.map_err(|_| Error::internal("the schema cannot be built"))?;
        let input_types = InputTypes::new(model.input_shapes());
        let (documents, plans) = (DocumentCache::new(), PlanCache::new());
        let (schema_views, uses) = (SchemaViewCache::new(model), Uses::default());
        Ok(Self { schema, input_types, schema_views, limits, documents, plans, uses })
    }

    /// Parses a document. A parser message may quote values from the document, so the error only reports the position.
    pub(super) fn parse(&self, query: &str) -> Result<ExecutableDocument, Vec<ResponseError>> {
        check_source(query, &self.limits).map_err(|error| vec![ResponseError::new(error)])?;
        parse_query(query).map_err(|error| {
            let positions: Vec<Pos> = error.positions().collect();
            let message = match positions.first() {
                Some(Pos { line, column }) => {
                    format!("the document does not parse: unexpected token at line {line}, column {column}")
                }
                None => "the document does not parse".to_owned(),
            };
            vec![ResponseError { positions, ..ResponseError::new(Error::bad_input(message)) }]
        })
    }

    /// The schema in the schema definition language.
    pub fn sdl(&self) -> String {
        self.schema.sdl()
    }

    /// The part of the schema that `actor` may use, in the schema definition language. Without a purpose it covers what
    /// each purpose of the credential permits by itself.
    ///
    /// # Errors
    /// `INTERNAL` when the registry contradicts itself.
    pub fn sdl_for(&self, actor: &Actor) -> Result<String, Error> {
        Ok(self.schema_views.view_for(actor)?.sdl().to_owned())
    }

    /// Executes `request` for `actor`.
    pub async fn execute(&self, app: &App, actor: &Actor, request: Request) -> Response {
        let mut timer = OperationTimer::start();
        let deadline = Instant::now() + self.limits.operation_time();
        let document = match self.document(&request.query) {
            Ok(document) => document,
            Err(errors) => return invalid_response(errors, actor),
        };
        let planned = match self.plan(app, actor, &request, &document).await {
            Ok(Ok(planned)) => Ok(planned),
            Ok(Err(response)) => return response,
            Err(error) => Err(error),
        };
        let response = match planned {
            Ok(planned) => self.run(app, actor, &request, planned, deadline, &mut timer).await,
            Err(error) => Err(error),
        };
        match response {
            Ok(response) => response,
            Err(error) if matches!(error.code, Code::BadUserInput | Code::QueryTooComplex) => {
                invalid_response(vec![ResponseError::new(error)], actor)
            }
            Err(error) => {
                let body = error_body(&error, &actor.request_id);
                Response { body, outcome: Outcome::Refused(error.code) }
            }
        }
    }

    /// The parsed document of `query`, from the cache if possible.
    fn document(&self, query: &str) -> Result<Arc<Document>, Vec<ResponseError>> {
        match self.documents.get(query) {
            Some(document) => Ok(document),
            None => self.parse(query).map(|parsed| Arc::new(Document::new(parsed))),
        }
    }

    /// The plan of a request, from the cache if possible; or the response to a request that is not executed.
    async fn plan(
        &self,
        app: &App,
        actor: &Actor,
        request: &Request,
        document: &Arc<Document>,
    ) -> Result<Result<PlannedOperation, Response>, Error> {
        let (name, variables) = (request.operation_name.as_deref(), &request.variables);
        let variant = document.validated_variant(name, variables, &self.input_types);
        let key = variant.as_ref().map(|variant| PlanKey::new(document, variant, actor, variables));
        if let Some(plan) = key.as_ref().and_then(|key| self.plans.get(key)) {
            return Ok(Ok(PlannedOperation { plan, introspection: Json::Null }));
        }
        let mut operation =
            Operation::from_document(&document.parsed, name, variables.clone(), &self.limits)?;
        if operation.is_subscription() {
            return Err(Error::bad_input("subscriptions are served over WebSocket"));
        }
        if operation.is_mutation() && request.safe {
            let error = Error::bad_input("mutations are sent by POST");
            let body = error_body(&error, &actor.request_id);
            return Ok(Err(Response { body, outcome: Outcome::Unsafe }));
        }
        operation.runtime_variables =
            variant.as_ref().map_or(&[], |variant| variant.runtime_variables.as_slice());
        let mut introspection = Json::Null;
        let ag_variables = || Variables::from_json(serde_json::Value::Object(variables.clone()));
        if variant.is_none() {
            let errors = self.validate(actor, &document.parsed, name, ag_variables()).await?;
            if !errors.is_empty() {
                return Ok(Err(invalid_response(errors, actor)));
            }
            document.mark_valid(name, variables);
            self.documents.insert(request.query.clone(), document.clone());
        }
        if let Some(document) = operation.introspection()? {
            let view = self.schema_views.view_for(actor)?;
            match view.introspect(document, ag_variables()).await {
                Ok(answer) => introspection = answer,
                Err(errors) => return Ok(Err(invalid_response(response_errors(errors, &view), actor))),
            }
        }
        let plan = Plan::new(&operation, actor, &self.limits, &app.keys, app.now().date_naive())?;
        let plan = Arc::new(plan);
        if let (Some(key), true) = (key, plan.cacheable) {
            self.plans.insert(key, plan.clone());
        }
        Ok(Ok(PlannedOperation { plan, introspection }))
    }

    /// Validates the document against the complete schema and returns the errors that `actor` may see. Every field is
    /// skipped, so nothing runs.
    ///
    /// # Errors
    /// `INTERNAL` when the registry contradicts itself.
    pub(super) async fn validate(
        &self,
        actor: &Actor,
        document: &ExecutableDocument,
        name: Option<&str>,
        variables: Variables,
    ) -> Result<Vec<ResponseError>, Error> {
        let mut request = AgRequest::new("").variables(variables).only_introspection();
        request.operation_name = name.map(str::to_owned);
        request.set_parsed_query(skip_all_fields(document.clone()));
        // As a stream, to accept subscriptions too; a subscription whose fields are all skipped ends without an event.
        let response = self.schema.execute_stream(request).next().await;
        match response.map(|response| response.errors) {
            Some(errors) if !errors.is_empty() => {
                Ok(response_errors(errors, self.schema_views.view_for(actor)?.as_ref()))
            }
            _ => Ok(Vec::new()),
        }
    }

    async fn run(
        &self,
        app: &App,
        actor: &Actor,
        request: &Request,
        PlannedOperation { plan, introspection }: PlannedOperation,
        deadline: Instant,
        timing: &mut OperationTimer,
    ) -> Result<Response, Error> {
        let plan = plan.as_ref();
        timing.name(plan.name());
        metrics::count_decisions(plan.allowed, plan.denials.len(), plan.masked.len());
        for denial in &plan.denials {
            log_refusal(&denial.error, actor, None);
        }
        let errors: Vec<ResponseError> =
            plan.denials.iter().map(|denial| ResponseError::from_denial(denial, plan.is_mutation)).collect();
        if let (true, Some(first)) = (request.strict, plan.denials.first()) {
            let response = ResponseParts { data: None, errors, withheld: Vec::new(), masked: &[] };
            return Ok(Response { body: response.json(actor), outcome: Outcome::Refused(first.error.code) });
        }
        if let (Some(meter), more @ 1..) = (&request.meter, plan.cost().saturating_sub(1)) {
            meter.charge(more)?;
        }
        if plan.needs_installation_keys {
            with_deadline(deadline, audit::installation_keys(app)).await?;
        }
        if plan.reads_personal_data && !plan.is_mutation {
            with_deadline(deadline, self.uses.note(app, actor)).await?;
        }
        let mut executor = Executor::new(plan, app, actor, &request.variables)?;
        let mut response = ResponseParts { data: None, errors, withheld: Vec::new(), masked: &plan.masked };
        let mut data = Vec::with_capacity(plan.roots.len());
        // Sequentially: mutations run in document order, each before the next begins.
        for root in &plan.roots {
            let json = match root.answered_by() {
                // Boxed, so that the future of a read does not reserve space for it: it is twenty times as large.
                AnsweredBy::Mutation(planned) => {
                    let idempotency = request.idempotency.as_ref();
                    let uses = plan.reads_personal_data.then_some(&self.uses);
                    Box::pin(run_mutation(
                        (app, uses),
                        actor,
                        &mut executor,
                        (root, planned),
                        idempotency,
                        deadline,
                    ))
                    .await
                }
                AnsweredBy::Receipt(planned) => {
                    let reading = Box::pin(receipts::read(app, actor, planned));
                    with_deadline(deadline, reading).await.map(Some)
                }
                AnsweredBy::ConsentState(planned) => {
                    let reading = Box::pin(consent_state::read(app, actor, planned));
                    with_deadline(deadline, reading).await.map(Some)
                }
                AnsweredBy::Engine => with_deadline(deadline, Box::pin(executor.execute_root(root))).await,
            };
            if json.as_ref().is_err_and(|error| error.transient) {
                tracing::error!("a read got no connection or was blocked by other transactions");
            }
            let json = match json {
                Ok(None) => introspection_value(&introspection, &root.key)?,
                Ok(Some(json)) => json,
                Err(error) => {
                    response.errors.push(ResponseError::at_root(error, &root.key));
                    "null".to_owned()
                }
            };
            data.push((root.key.clone(), json));
        }
        response.withheld = plan.withheld.iter().map(String::as_str).zip(executor.withheld).collect();
        response.data = Some(data);
        Ok(Response { body: response.json(actor), outcome: Outcome::Executed })
    }
}

/// The plan, and the result of introspection.
struct PlannedOperation {
    plan: Arc<Plan>,
    introspection: Json,
}

/// Runs a mutation. A mutation that starts in time is never aborted.
async fn run_mutation(
    (app, uses): (&App, Option<&Uses>),
    actor: &Actor,
    executor: &mut Executor<'_>,
    (root, planned): (&PlannedRoot, &PlannedMutation),
    idempotency: Option<&Idempotency>,
    deadline: Instant,
) -> Result<Option<String>, Error> {
    if Instant::now() >= deadline {
        let message = "this mutation was not started: the ones before it took too long";
        return Err(Error::new(Code::TimedOut, message));
    }
    let result = mutations::run(app, actor, &root.key, planned, idempotency).await;
    let (result, timing) = result.inspect_err(|error| log_refusal(error, actor, Some(planned)))?;
    if timing == EntryTiming::Deferred {
        let message =
            "the mutation was done, but its audit entry is still pending; its result is not shown until then";
        return Err(Error::new(Code::AuditUnavailable, message).after_commit());
    }
    executor.refresh(app);
    // The write is done, even if reading it back fails.
    let deadline = deadline.max(Instant::now() + READ_BACK_TIMEOUT);
    let read = async {
        if let Some(uses) = uses {
            uses.note(app, actor).await?;
        }
        executor.write_payload(planned, &result).await
    };
    with_deadline(deadline, Box::pin(read)).await.map(Some).map_err(|error| {
        let code = match error.code {
            code @ (Code::TimedOut | Code::AuditUnavailable) => code,
            _ => Code::Internal,
        };
        Error::new(code, "the mutation was done, but its result cannot be read now").after_commit()
    })
}

/// Cancels `work` at `deadline`; does not start it after that.
async fn with_deadline<T>(
    deadline: Instant,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    if Instant::now() >= deadline {
        return Err(Error::timed_out());
    }
    tokio::time::timeout_at(deadline, work).await.unwrap_or_else(|_| Err(Error::timed_out()))
}

fn invalid_response(errors: Vec<ResponseError>, actor: &Actor) -> Response {
    let response = ResponseParts { data: None, errors, withheld: Vec::new(), masked: &[] };
    Response { body: response.json(actor), outcome: Outcome::Invalid }
}

fn introspection_value(data: &Json, key: &str) -> Result<String, Error> {
    let Json::Object(fields) = data else { return Ok("null".to_owned()) };
    let value = fields.iter().find_map(|(name, value)| (name == key).then_some(value));
    serde_json::to_string(&value).map_err(|_| Error::internal("introspection could not be written"))
}

/// Writes to the security log who was refused what and why, without any value.
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
        input = error.input_path.as_deref(),
        mutation = planned.map(|planned| planned.mutation.name),
        target_id = planned.and_then(PlannedMutation::target).map(tracing::field::display),
        "refused"
    );
}

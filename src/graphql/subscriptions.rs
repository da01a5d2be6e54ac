//! Subscriptions: validated once, then planned and read again for every event as the current actor. Room: graphql.

use async_graphql::{Variables, parser::types::ExecutableDocument};

use crate::graphql::{
    pipeline::{Pipeline, Request, log_refusal},
    response::{ResponseError, ResponseParts, errors_json},
};
use crate::{
    app::App,
    audit,
    auth::actor::Actor,
    base::error::Error,
    db::change_feed::Change,
    engine::{Executor, Operation, Plan},
};

/// A subscription with a validated document.
pub struct Subscription {
    document: ExecutableDocument,
    request: Request,
}

/// What a change means for a subscription.
#[derive(Debug)]
pub enum SubscriptionEvent {
    /// Nothing: the change is not visible to the subscriber.
    None,
    /// A response as JSON.
    Next(String),
    /// The change cannot be read now and should be retried. The JSON list of errors is for a subscriber who is not
    /// served later.
    Retry(String),
    /// The subscription ends, with a JSON list of errors.
    Error(String),
}

impl Pipeline {
    /// Validates and registers a subscription.
    ///
    /// # Errors
    /// A JSON list of errors: the document is invalid, is not a subscription, or is not permitted.
    pub async fn subscribe(
        &self,
        app: &App,
        actor: &Actor,
        request: Request,
    ) -> Result<Subscription, String> {
        let reject = |errors: Vec<ResponseError>| errors_json(&errors, actor);
        let document = self.parse(&request.query).map_err(reject)?;
        let variables = Variables::from_json(serde_json::Value::Object(request.variables.clone()));
        let name = request.operation_name.as_deref();
        // Limits are checked before validation.
        match Operation::from_document(&document, name, request.variables.clone(), &self.limits) {
            Ok(operation) if operation.is_subscription() => {}
            Ok(_) => {
                let message =
                    "only subscriptions are served over WebSocket; send queries and mutations by POST";
                return Err(reject(vec![ResponseError::new(Error::bad_input(message))]));
            }
            Err(error) => return Err(reject(vec![ResponseError::new(error)])),
        }
        match self.validate(actor, &document, name, variables).await {
            Ok(errors) if errors.is_empty() => {}
            Ok(errors) => return Err(reject(errors)),
            Err(error) => return Err(reject(vec![ResponseError::new(error)])),
        }
        let subscription = Subscription { document, request };
        match self.replan(app, actor, &subscription) {
            Ok(plan) => {
                plan.denials.iter().for_each(|denial| log_refusal(&denial.error, actor, None));
                Ok(subscription)
            }
            Err(errors) => {
                errors.iter().for_each(|error| log_refusal(&error.error, actor, None));
                Err(reject(errors))
            }
        }
    }

    /// The event that `change` means for the subscriber, who is `actor` now; without a change, whether the subscription
    /// may continue.
    pub async fn next_event(
        &self,
        app: &App,
        actor: &Actor,
        subscription: &Subscription,
        change: Option<&Change>,
    ) -> SubscriptionEvent {
        let plan = match self.replan(app, actor, subscription) {
            Ok(plan) => plan,
            Err(errors) => {
                errors.iter().for_each(|error| log_refusal(&error.error, actor, None));
                return SubscriptionEvent::Error(errors_json(&errors, actor));
            }
        };
        let (Some(change), Some(root)) = (change, plan.roots.first()) else { return SubscriptionEvent::None };
        let read = async {
            if plan.needs_installation_keys {
                audit::installation_keys(app).await?;
            }
            if plan.reads_personal_data {
                self.uses.note(app, actor).await?;
            }
            let mut executor = Executor::new(&plan, app, actor, &subscription.request.variables)?;
            let json = executor.read_change(root, change).await?;
            Ok::<_, Error>(json.map(|json| (json, executor.withheld)))
        };
        match read.await {
            Ok(None) => SubscriptionEvent::None,
            Ok(Some((json, counts))) => {
                let errors =
                    plan.denials.iter().map(|denial| ResponseError::from_denial(denial, false)).collect();
                let withheld = plan.withheld.iter().map(String::as_str).zip(counts).collect();
                let data = Some(vec![(root.key.clone(), json)]);
                SubscriptionEvent::Next(
                    ResponseParts { data, errors, withheld, masked: &plan.masked }.text(actor),
                )
            }
            Err(error) => {
                let is_transient = error.is_temporary();
                let errors = errors_json(&[ResponseError::new(error)], actor);
                if is_transient { SubscriptionEvent::Retry(errors) } else { SubscriptionEvent::Error(errors) }
            }
        }
    }

    /// The plan under the current policy and decisions.
    fn replan(
        &self,
        app: &App,
        actor: &Actor,
        subscription: &Subscription,
    ) -> Result<Plan, Vec<ResponseError>> {
        let Subscription { document, request } = subscription;
        let name = request.operation_name.as_deref();
        let plan = Operation::from_document(document, name, request.variables.clone(), &self.limits)
            .and_then(|operation| {
                Plan::new(&operation, actor, &self.limits, &app.keys, app.now().date_naive())
            });
        let plan = plan.map_err(|error| vec![ResponseError::new(error)])?;
        // A denied field is null with an error, as in a read; a denied root field ends the subscription.
        let denied: Vec<ResponseError> = plan
            .denials
            .iter()
            .filter(|denial| denial.root.is_some())
            .map(|denial| ResponseError::from_denial(denial, false))
            .collect();
        if denied.is_empty() { Ok(plan) } else { Err(denied) }
    }
}

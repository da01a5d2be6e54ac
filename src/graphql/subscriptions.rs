//! Subscriptions: validated once, then planned and read anew for every event, as the actor of that instant. Room: graphql.

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

/// A subscription whose document fits the schema.
pub struct Subscription {
    document: ExecutableDocument,
    request: Request,
}

/// What a subscriber is told.
#[derive(Debug)]
pub enum SubscriptionEvent {
    /// Nothing: the change is not one of his.
    None,
    /// A response, JSON.
    Next(String),
    /// Nothing yet: it cannot be read now, and may be later. A JSON list of errors, should it never be.
    Retry(String),
    /// That it is over: a JSON list of errors.
    Error(String),
}

impl Pipeline {
    /// Takes a subscription up.
    ///
    /// # Errors
    /// A JSON list of errors: the document does not fit, is no subscription, or may not be followed.
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
        // Bounded before it is validated.
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

    /// What the subscriber, who is `actor` now, is told of `change`; without one, whether it may go on.
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
                let is_transient = error.may_pass();
                let errors = errors_json(&[ResponseError::new(error)], actor);
                if is_transient { SubscriptionEvent::Retry(errors) } else { SubscriptionEvent::Error(errors) }
            }
        }
    }

    /// The plan by what holds now.
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
        // Fields that are denied are null beside an error, as in a read; the root makes the subscription.
        let denied: Vec<ResponseError> = plan
            .denials
            .iter()
            .filter(|denial| denial.root.is_some())
            .map(|denial| ResponseError::from_denial(denial, false))
            .collect();
        if denied.is_empty() { Ok(plan) } else { Err(denied) }
    }
}

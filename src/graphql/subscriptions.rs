//! Subscriptions: validated once, then planned and read anew for every event, as the actor of that instant. Room: graphql.

use async_graphql::{Variables, parser::types::ExecutableDocument};

use crate::graphql::{
    pipeline::{Pipeline, Request, log_refusal},
    response::{Problem, Response, errors_json},
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
pub enum Told {
    /// Nothing: the change is not one of his.
    Nothing,
    /// A response, JSON.
    Answer(String),
    /// Nothing yet: it cannot be read now, and may be later. A JSON list of errors, should it never be.
    Later(String),
    /// That it is over: a JSON list of errors.
    Ended(String),
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
        let refused = |problems: Vec<Problem>| errors_json(&problems, actor);
        let document = self.parse(&request.query).map_err(refused)?;
        let variables = Variables::from_json(serde_json::Value::Object(request.variables.clone()));
        let name = request.operation_name.as_deref();
        // Bounded before it is validated.
        match Operation::choose(&document, name, request.variables.clone(), &self.limits) {
            Ok(operation) if operation.subscribes => {}
            Ok(_) => {
                let message =
                    "only subscriptions are served over WebSocket; send queries and mutations by POST";
                return Err(refused(vec![Problem::of(Error::input(message))]));
            }
            Err(error) => return Err(refused(vec![Problem::of(error)])),
        }
        match self.faults(actor, &document, name, variables).await {
            Ok(faults) if faults.is_empty() => {}
            Ok(faults) => return Err(refused(faults)),
            Err(error) => return Err(refused(vec![Problem::of(error)])),
        }
        let subscription = Subscription { document, request };
        match self.plan_again(app, actor, &subscription) {
            Ok(plan) => {
                plan.denials.iter().for_each(|denial| log_refusal(&denial.error, actor, None));
                Ok(subscription)
            }
            Err(problems) => {
                problems.iter().for_each(|problem| log_refusal(&problem.error, actor, None));
                Err(refused(problems))
            }
        }
    }

    /// What the subscriber, who is `actor` now, is told of `change`; without one, whether it may go on.
    pub async fn follow(
        &self,
        app: &App,
        actor: &Actor,
        subscription: &Subscription,
        change: Option<&Change>,
    ) -> Told {
        let plan = match self.plan_again(app, actor, subscription) {
            Ok(plan) => plan,
            Err(problems) => {
                problems.iter().for_each(|problem| log_refusal(&problem.error, actor, None));
                return Told::Ended(errors_json(&problems, actor));
            }
        };
        let (Some(change), Some(root)) = (change, plan.roots.first()) else { return Told::Nothing };
        let read = async {
            if plan.makes_links {
                audit::ring(app).await?;
            }
            if plan.of_persons {
                self.uses.note(app, actor).await?;
            }
            let mut executor = Executor::new(&plan, app, actor, &subscription.request.variables)?;
            let json = executor.change(root, change).await?;
            Ok::<_, Error>(json.map(|json| (json, executor.withheld)))
        };
        match read.await {
            Ok(None) => Told::Nothing,
            Ok(Some((json, counts))) => {
                let problems = plan.denials.iter().map(|denial| Problem::denied(denial, false)).collect();
                let withheld = plan.withheld.iter().map(String::as_str).zip(counts).collect();
                let data = Some(vec![(root.key.clone(), json)]);
                Told::Answer(Response { data, problems, withheld, masked: &plan.masked }.text(actor))
            }
            Err(error) => {
                let passing = error.may_pass();
                let errors = errors_json(&[Problem::of(error)], actor);
                if passing { Told::Later(errors) } else { Told::Ended(errors) }
            }
        }
    }

    /// The plan by what holds now.
    fn plan_again(
        &self,
        app: &App,
        actor: &Actor,
        subscription: &Subscription,
    ) -> Result<Plan, Vec<Problem>> {
        let Subscription { document, request } = subscription;
        let name = request.operation_name.as_deref();
        let planned = Operation::choose(document, name, request.variables.clone(), &self.limits).and_then(
            |operation| Plan::of(&operation, actor, &self.limits, &app.keys, app.now().date_naive()),
        );
        let plan = planned.map_err(|error| vec![Problem::of(error)])?;
        // Fields that are denied are null beside an error, as in a read; the root makes the subscription.
        let refused: Vec<Problem> = plan
            .denials
            .iter()
            .filter(|denial| denial.root.is_some())
            .map(|denial| Problem::denied(denial, false))
            .collect();
        if refused.is_empty() { Ok(plan) } else { Err(refused) }
    }
}

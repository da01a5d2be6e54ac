//! Plans a mutation: what is to be written, and what of it will be answered. Room: engine/planner.
//!
//! Rights on the mutation and on every given input field are decided here, before anything is done; the payload is
//! planned like a read and read after the write, by the row rules that hold then.

use super::context::Planner;
use crate::{
    base::error::{Code, Error},
    engine::{
        document::{
            arguments::Arguments,
            input::{self, Input, InputContext, RequiredRights},
            operation::CollectedField,
        },
        json::json_key,
        plan::{PayloadPart, PlannedMutation},
    },
    policy::{Action, Grounds},
    registry::{MUTATIONS, Mutation, Right},
};

/// Most rows of a payload that may hold several.
const MAX_PAYLOAD_ROWS: u64 = 100;

impl<'p> Planner<'p> {
    /// Plans the mutation `selected`.
    ///
    /// # Errors
    /// `FORBIDDEN` and `FORBIDDEN_FIELD` for what the caller may not do, `BAD_USER_INPUT` with its place.
    pub(in crate::engine) fn plan_mutation(
        &mut self,
        selected: &CollectedField<'p>,
    ) -> Result<PlannedMutation, Error> {
        let mutation = MUTATIONS
            .iter()
            .find(|mutation| mutation.name == selected.name)
            .ok_or_else(|| Error::input("the document asks for an unknown field"))?;
        let Some(first) = selected.nodes.first() else {
            return Err(Error::internal("a field without nodes"));
        };
        let arguments = Arguments::new(&self.operation.variables, first);
        let mut rights: RequiredRights =
            mutation.needs().into_iter().map(|right| (right, "input".to_owned())).collect();
        rights.extend(input::required_rights(mutation, &arguments));
        // What may not be done at all is told before what is wrong with it.
        let sees_all = self.actor.purpose.as_ref().is_some_and(|purpose| purpose.sees_all);
        if mutation.whole.is_some() && !sees_all {
            // Nobody moves consents, objections, grounds or requests that the purpose does not show.
            let message = "this needs a purpose that sees all of a contact";
            return Err(Error::new(Code::Forbidden, message).at(format!("Mutation.{}", mutation.name)));
        }
        let on_consent =
            self.actor.purpose.as_ref().is_some_and(|purpose| purpose.grounds == Grounds::Consent);
        for (right, path) in rights {
            // Where values may be withheld row by row, nobody changes them blindly.
            let withheld = on_consent
                && matches!(right, Right::OnField(Action::Update, _, field) if field.cover.is_some());
            if withheld || !self.can(&right.coordinate(), right.action()) {
                let verb = match right.action() {
                    Action::Read => "read",
                    _ => "written",
                };
                let message = format!("this may not be {verb} for this purpose");
                return Err(Error::new(Code::ForbiddenField, message).at(right.coordinate()).in_input(path));
            }
        }
        let context = InputContext { actor: self.actor, today: self.today };
        let input = Input::from_arguments(mutation, &arguments, context)?;
        Ok(PlannedMutation { mutation, input, fields: self.plan_payload(mutation, selected)? })
    }

    fn plan_payload(
        &mut self,
        mutation: &'static Mutation,
        selected: &CollectedField<'p>,
    ) -> Result<Vec<(String, PayloadPart)>, Error> {
        let payload = mutation.payload;
        let mut fields = Vec::new();
        for field in self.operation.collect_fields(&selected.selection_sets(), payload.name)? {
            let coordinate = format!("{}.{}", payload.name, field.name);
            let out = match field.name {
                "__typename" => PayloadPart::Typename,
                "secret" if payload.secret => PayloadPart::Secret,
                _ if !self.is_readable(payload.object) => {
                    self.deny(&coordinate, &field);
                    PayloadPart::Null
                }
                name if Some(name) == payload.many => PayloadPart::Many(self.plan_fetch(
                    payload.object,
                    &field.selection_sets(),
                    MAX_PAYLOAD_ROWS,
                )?),
                _ => PayloadPart::One(self.plan_fetch(payload.object, &field.selection_sets(), 1)?),
            };
            fields.push((json_key(field.key), out));
        }
        Ok(fields)
    }
}

//! Plans a mutation: its validated input and the payload to read afterwards. Room: engine/planner.
//!
//! Rights on the mutation and on every given input field are decided here, before anything is written. The payload
//! is planned like a read and read after the write, by the row rules that hold then.

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

/// Maximum number of rows in a payload with a list.
const MAX_PAYLOAD_ROWS: u64 = 100;

impl<'p> Planner<'p> {
    /// Plans the mutation `selected`.
    ///
    /// # Errors
    /// `FORBIDDEN` and `FORBIDDEN_FIELD` for missing rights, `BAD_USER_INPUT` with its path.
    pub(in crate::engine) fn plan_mutation(
        &mut self,
        selected: &CollectedField<'p>,
    ) -> Result<PlannedMutation, Error> {
        let mutation = MUTATIONS
            .iter()
            .find(|mutation| mutation.name == selected.name)
            .ok_or_else(|| Error::bad_input("the document asks for an unknown field"))?;
        let Some(first) = selected.nodes.first() else {
            return Err(Error::internal("a field without nodes"));
        };
        let arguments = Arguments::new(&self.operation.variables, first);
        let mut rights: RequiredRights =
            mutation.required_rights().into_iter().map(|right| (right, "input".to_owned())).collect();
        rights.extend(input::required_rights(mutation, &arguments));
        // Missing rights are reported before invalid values.
        let sees_all = self.actor.purpose.as_ref().is_some_and(|purpose| purpose.sees_all);
        if mutation.requires_full_access.is_some() && !sees_all {
            // Nobody may move consents, objections, grounds or requests that the purpose does not show.
            let message = "this needs a purpose that sees all of a contact";
            return Err(
                Error::new(Code::Forbidden, message).with_coordinate(format!("Mutation.{}", mutation.name))
            );
        }
        let on_consent =
            self.actor.purpose.as_ref().is_some_and(|purpose| purpose.grounds == Grounds::Consent);
        for (right, path) in rights {
            // Where values may be withheld row by row, nobody may change them blindly.
            let withheld = on_consent
                && matches!(right, Right::OnField(Action::Update, _, field) if field.required_channel.is_some());
            if withheld || !self.can(&right.coordinate(), right.action()) {
                let verb = match right.action() {
                    Action::Read => "read",
                    _ => "written",
                };
                let message = format!("this may not be {verb} for this purpose");
                return Err(Error::new(Code::ForbiddenField, message)
                    .with_coordinate(right.coordinate())
                    .with_input_path(path));
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
                name if Some(name) == payload.list_field => PayloadPart::Many(self.plan_fetch(
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

//! Mutations in the plan: what is to be written, and what of it will be answered (floor 2).
//!
//! Rights on the mutation and on every given input field are decided here, before anything is done; the payload is
//! planned like a read and read after the write, by the row rules that hold then.

use uuid::Uuid;

use super::{
    arguments::Arguments,
    document::Selected,
    inputs::{self, Input, Reading},
    levels::Level,
    plan::{Planner, json_key},
    read::Reader,
    write::{Cell, write_text},
};
use crate::{
    error::{Code, Error},
    policy::{Action, Grounds},
    register::{MUTATIONS, Mutation, Right},
};

/// Most rows of a payload that may hold several.
const MOST_WRITTEN: u64 = 100;

/// A planned mutation.
#[derive(Debug)]
pub struct PlannedWrite {
    /// Which one.
    pub mutation: &'static Mutation,
    /// Its input, checked.
    pub input: Input,
    outs: Vec<(String, Out)>,
}

impl PlannedWrite {
    /// The id of what is to be changed, if the input names one.
    pub fn target(&self) -> Option<Uuid> {
        self.mutation.input.targets().find_map(|name| self.input.id(name))
    }
}

#[derive(Debug)]
enum Out {
    Typename,
    One(Level),
    Many(Level),
    Secret,
    Null,
}

/// What a write tells of itself.
#[derive(Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct Written {
    /// Ids of what the payload shows; where it shows one, the first.
    pub ids: Vec<Uuid>,
    /// A secret that is told once.
    pub secret: Option<String>,
}

impl Written {
    /// One thing was written.
    pub fn one(id: Uuid) -> Self {
        Self { ids: vec![id], secret: None }
    }
}

impl std::fmt::Debug for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Written").field("ids", &self.ids).finish_non_exhaustive()
    }
}

impl<'p> Planner<'p> {
    /// Plans the mutation `selected`.
    ///
    /// # Errors
    /// `FORBIDDEN` and `FORBIDDEN_FIELD` for what the caller may not do, `BAD_USER_INPUT` with its place.
    pub(super) fn mutation(&mut self, selected: &Selected<'p>) -> Result<PlannedWrite, Error> {
        let mutation = MUTATIONS
            .iter()
            .find(|mutation| mutation.name == selected.name)
            .ok_or_else(|| Error::input("the document asks for an unknown field"))?;
        let Some(first) = selected.nodes.first() else {
            return Err(Error::internal("a field without nodes"));
        };
        let arguments = Arguments::of(&self.operation.variables, first);
        let mut needs: inputs::Needs =
            mutation.needs().into_iter().map(|right| (right, "input".to_owned())).collect();
        needs.extend(inputs::needs_of(mutation, &arguments));
        // What may not be done at all is told before what is wrong with it.
        let sees_all = self.actor.purpose.as_ref().is_some_and(|purpose| purpose.sees_all);
        if mutation.whole.is_some() && !sees_all {
            // Nobody moves consents, objections, grounds or requests that the purpose does not show.
            let message = "this needs a purpose that sees all of a contact";
            return Err(Error::new(Code::Forbidden, message).at(format!("Mutation.{}", mutation.name)));
        }
        let on_consent =
            self.actor.purpose.as_ref().is_some_and(|purpose| purpose.grounds == Grounds::Consent);
        for (right, place) in needs {
            // Where values may be withheld row by row, nobody changes them blindly.
            let withheld = on_consent
                && matches!(right, Right::OnField(Action::Update, _, field) if field.cover.is_some());
            if withheld || !self.allows(&right.coordinate(), right.action()) {
                let what = match right.action() {
                    Action::Read => "read",
                    _ => "written",
                };
                let message = format!("this may not be {what} for this purpose");
                return Err(Error::new(Code::ForbiddenField, message).at(right.coordinate()).in_input(place));
            }
        }
        let reading = Reading { actor: self.actor, today: self.today };
        let input = Input::of(mutation, &arguments, reading)?;
        Ok(PlannedWrite { mutation, input, outs: self.payload(mutation, selected)? })
    }

    fn payload(
        &mut self,
        mutation: &'static Mutation,
        selected: &Selected<'p>,
    ) -> Result<Vec<(String, Out)>, Error> {
        let payload = mutation.payload;
        let mut outs = Vec::new();
        for field in self.operation.collect(&selected.sets(), payload.name)? {
            let coordinate = format!("{}.{}", payload.name, field.name);
            let out = match field.name {
                "__typename" => Out::Typename,
                "secret" if payload.secret => Out::Secret,
                _ if !self.readable(payload.object) => {
                    self.deny(&coordinate, &field);
                    Out::Null
                }
                name if Some(name) == payload.many => {
                    Out::Many(self.level(payload.object, &field.sets(), MOST_WRITTEN)?)
                }
                _ => Out::One(self.level(payload.object, &field.sets(), 1)?),
            };
            outs.push((json_key(field.key), out));
        }
        Ok(outs)
    }
}

impl Reader<'_> {
    /// Reads and writes the payload of what was `written`.
    ///
    /// # Errors
    /// `INTERNAL` from the database.
    pub async fn payload(&mut self, planned: &PlannedWrite, written: &Written) -> Result<String, Error> {
        let mut json = String::from("{");
        for (index, (key, out)) in planned.outs.iter().enumerate() {
            json.push_str(if index == 0 { "" } else { "," });
            json.push_str(key);
            match out {
                Out::Typename => write_text(&mut json, planned.mutation.payload.name),
                Out::Null => json.push_str("null"),
                Out::Secret => match &written.secret {
                    Some(secret) => write_text(&mut json, secret),
                    None => json.push_str("null"),
                },
                Out::One(level) => {
                    let key = written.ids.first().map_or(Cell::Null, |id| Cell::Uuid(*id));
                    json.push_str(&self.one(level, &key).await?);
                }
                Out::Many(level) => {
                    let keys: Vec<Cell> = written.ids.iter().map(|id| Cell::Uuid(*id)).collect();
                    json.push_str(&self.keyed(level, &keys, true).await?);
                }
            }
        }
        json.push('}');
        Ok(json)
    }
}

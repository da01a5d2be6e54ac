//! The choices of a person: consents to withdraw and uses to object to (Art. 7(3), 21). Room: http/pages.

use std::sync::Arc;

use uuid::Uuid;

use super::{forms::Form, page_request::PageRequest};
use crate::http::pages::{
    queries::{Person, is_in_force},
    responses::Layout,
};
use crate::{
    auth::actor::Actor,
    base::error::Error,
    policy::{Grounds, LegalBasis, Policy, PurposeDef},
};

/// Details of a purpose in use.
#[derive(Debug)]
pub(super) struct Details {
    pub(super) basis: Option<String>,
    pub(super) since: String,
    /// `None` if the policy denies them.
    pub(super) recipients: Option<Vec<String>>,
    /// Why it cannot be ended on this page.
    pub(super) fixed: Option<String>,
}

/// The person behind a valid link.
pub(super) struct LinkHolder {
    pub(super) contact: Uuid,
    /// Code of the purpose whose mail carried the link.
    pub(super) purpose: String,
    pub(super) actor: Actor,
    pub(super) person: Person,
}

/// A purpose as the page shows it.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) code: String,
    pub(super) title: String,
    pub(super) description: String,
    pub(super) state: &'static str,
    /// The available action.
    pub(super) action: Option<&'static str>,
    /// The action that ends it in any state; `None` if it cannot be ended on this page.
    pub(super) ends: Option<&'static str>,
    /// Whether it belongs to a group; those are shown to every person.
    pub(super) grouped: bool,
    /// Legal basis, start, and recipients of the data.
    pub(super) details: Option<Details>,
}

impl Choice {
    /// Whether the page has a button for `action`, or had one until it was used.
    fn has_button(&self, action: &str) -> bool {
        self.ends == Some(action)
    }

    /// Hides the state; it can still be ended.
    pub(super) fn hide(&mut self) {
        self.state = "hidden";
        self.action = self.ends;
    }

    pub(super) fn state_text(&self) -> &'static str {
        match self.state {
            "consented" => "page-state-consented",
            "paused" => "page-state-paused",
            "used" => "page-state-used",
            "objected" => "page-state-objected",
            "hidden" => "page-state-hidden",
            "reached" => "page-state-reached",
            "unreached" => "page-state-unreached",
            "stopped" => "page-state-stopped",
            _ => "page-state-none",
        }
    }

    #[expect(clippy::unused_self, reason = "templates ask the choice")]
    pub(super) fn short(&self, layout: &Layout<'_>, action: &str) -> String {
        layout.t(&format!("page-{action}"))
    }

    /// The label with the purpose, for screen readers.
    pub(super) fn long(&self, layout: &Layout<'_>, action: &str) -> String {
        layout.texts.with(&format!("page-{action}-of"), &[("purpose", &self.title)])
    }
}

/// Whether a page with these choices has such a form.
pub(super) fn is_offered(choices: &[Choice], groups: &[Group], form: &Form) -> bool {
    let (Some(code), Some(action)) = (form.single("purpose"), form.single("action")) else { return false };
    choices.iter().any(|choice| choice.code == code && choice.has_button(action))
        || (action == "none" && groups.iter().any(|group| group.code == code))
}

/// A group of purposes that can be ended together.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) code: String,
    /// Whether it has been ended.
    pub(super) done: bool,
}

/// Whether the purpose can be objected to.
pub(super) fn is_objectable(purpose: &PurposeDef) -> bool {
    purpose.grounds != Grounds::None && purpose.basis.is_some_and(LegalBasis::can_be_objected_to)
}

pub(super) fn purposes_of_group<'p>(
    policy: &'p Policy,
    group: &'p str,
) -> impl Iterator<Item = &'p Arc<PurposeDef>> {
    policy.purposes().iter().filter(move |purpose| purpose.group.as_deref() == Some(group))
}

/// Whether the group has purposes that rest on consent.
pub(super) fn has_consents(policy: &Policy, group: &str) -> bool {
    purposes_of_group(policy, group).any(|purpose| purpose.grounds == Grounds::Consent)
}

/// The choices of the person, in the order of the policy, and the groups that can be ended together.
///
/// # Errors
/// `INTERNAL` from the database.
pub(super) async fn load_choices(
    request: &PageRequest,
    contact: Uuid,
    person: &Person,
) -> Result<(Vec<Choice>, Vec<Group>), Error> {
    let policy = request.app.policy.current();
    let mut choices = Vec::new();
    let mut in_force = Vec::new();
    for purpose in policy.purposes().iter().filter(|purpose| !purpose.is_group) {
        let on_consent = purpose.grounds == Grounds::Consent;
        if !on_consent && !is_objectable(purpose) {
            continue;
        }
        let is_in_force = is_in_force(request, contact, purpose).await?;
        if is_in_force {
            in_force.push(purpose.code.as_str());
        }
        let group = purpose.group.as_deref();
        let has_objection = |code: &str| person.objects(code, &purpose.channels);
        let objected = has_objection(&purpose.code) || group.is_some_and(has_objection);
        let (state, action) = match (on_consent, is_in_force) {
            (true, true) => ("consented", Some("withdraw")),
            (true, false) if objected => ("objected", None),
            (true, false) if person.has_given(&purpose.code) => ("paused", Some("withdraw")),
            (true, false) => ("none", None),
            (false, true) => ("used", Some("object")),
            (false, false) if objected => ("objected", None),
            // A purpose other than advertising is only shown to persons whom it concerns.
            (false, false) if group.is_none() => continue,
            (false, false) => ("none", Some("object")),
        };
        choices.push(Choice {
            code: purpose.code.clone(),
            title: request.texts.pick(&purpose.title_de, &purpose.title_en).to_owned(),
            description: request.texts.pick(&purpose.description_de, &purpose.description_en).to_owned(),
            state,
            action,
            ends: Some(if on_consent { "withdraw" } else { "object" }),
            grouped: group.is_some(),
            details: None,
        });
    }
    let groups = policy.purposes().iter().filter(|purpose| purpose.is_group);
    let groups =
        groups.filter(|group| purposes_of_group(&policy, &group.code).next().is_some()).map(|group| Group {
            code: group.code.clone(),
            done: person.objects(&group.code, &[])
                && !purposes_of_group(&policy, &group.code)
                    .any(|kind| in_force.contains(&kind.code.as_str())),
        });
    let groups = groups.collect();
    Ok((choices, groups))
}

//! The columns of an export. Room: exchange/exports.

use super::opt_outs;
use crate::{
    auth::actor::Actor,
    exchange::contact_pages,
    registry::{BLOCK, CONTACT, CONTACT_POINT, FieldSource, OBJECTION, ObjectType, PROVENANCE, PURPOSE},
};

/// The columns of an export.
#[derive(Clone, Debug)]
pub struct Columns {
    /// Fields of the contact.
    pub contact: Vec<&'static str>,
    /// Fields of its further contact points; empty if they may not be read.
    pub points: Vec<&'static str>,
    /// Fields of its sources; empty if they may not be read.
    pub sources: Vec<&'static str>,
    /// Whether it includes the advertising that each contact objects to.
    pub opt_outs: bool,
    /// Coordinates that are left out because they may only be read masked, or not at all.
    pub left_out: Vec<String>,
}

impl Columns {
    /// The columns that `actor` may read in full; with `links`, including preference links.
    pub fn readable_by(actor: &Actor, links: bool) -> Self {
        let mut left_out = Vec::new();
        let mut fields = |object: &'static ObjectType| -> Vec<&'static str> {
            let columns = object.fields.iter().filter(|field| match field.source {
                FieldSource::Column { .. } => true,
                FieldSource::Preference { .. } => links,
                _ => false,
            });
            let all: Vec<&'static str> = columns.map(|field| field.name).collect();
            let readable = contact_pages::readable(actor, object, all.iter().copied());
            let unreadable = all.iter().filter(|name| !readable.contains(name));
            left_out.extend(unreadable.map(|name| format!("{}.{name}", object.name)));
            readable
        };
        let contact = fields(&CONTACT);
        // Without the field that an import needs, they could not be imported again.
        let mut children = |link: &str, object, required: &str| {
            let readable = !contact_pages::readable(actor, &CONTACT, [link]).is_empty()
                && !contact_pages::readable(actor, object, [required]).is_empty();
            if readable { fields(object) } else { Vec::new() }
        };
        let (points, sources) = (
            children("contactPoints", &CONTACT_POINT, "kind"),
            children("provenance", &PROVENANCE, "source"),
        );
        for (link, fields) in [("contactPoints", &points), ("provenance", &sources)] {
            if fields.is_empty() {
                left_out.push(format!("{}.{link}", CONTACT.name));
            }
        }
        // A partial list would look complete.
        let can_read_all = |object, names: &[&'static str]| {
            contact_pages::readable(actor, object, names.iter().copied()).len() == names.len()
        };
        let opt_outs = can_read_all(&CONTACT, &["objections", "blocks"])
            && actor.purpose.as_ref().is_some_and(|purpose| purpose.sees_all)
            && can_read_all(&OBJECTION, &opt_outs::FIELDS)
            && can_read_all(&BLOCK, &opt_outs::OF_BLOCKS)
            && can_read_all(&PURPOSE, &["code"]);
        if !opt_outs {
            left_out.push(format!("{}.objections", CONTACT.name));
        }
        Self { contact, points, sources, opt_outs, left_out }
    }

    /// The GraphQL selection for each contact.
    pub(super) fn selection(&self) -> String {
        let children = |link: &str, fields: &[&str]| match fields {
            [] => String::new(),
            fields => format!(" {link} {{ {} }}", fields.join(" ")),
        };
        let (points, sources) =
            (children("contactPoints", &self.points), children("provenance", &self.sources));
        let opt_outs = if self.opt_outs { opt_outs::SELECTION } else { "" };
        format!("{}{points}{sources}{opt_outs}", self.contact.join(" "))
    }

    pub(super) fn coordinates(&self) -> Vec<String> {
        let coordinates = |object: &ObjectType, fields: &[&str]| -> Vec<String> {
            fields.iter().map(|field| format!("{}.{field}", object.name)).collect()
        };
        let if_opt_outs = |fields: &'static [&'static str]| if self.opt_outs { fields } else { &[] };
        let [contact, points, sources] =
            [(&CONTACT, &self.contact), (&CONTACT_POINT, &self.points), (&PROVENANCE, &self.sources)]
                .map(|(object, fields)| coordinates(object, fields));
        [
            contact,
            points,
            sources,
            coordinates(&OBJECTION, if_opt_outs(&opt_outs::FIELDS)),
            coordinates(&BLOCK, if_opt_outs(&opt_outs::OF_BLOCKS)),
        ]
        .concat()
    }
}

//! Writes rows and pages as JSON. Room: engine/executor.

use super::{
    context::Executor,
    rows::RowRef,
    writer::{ChildJson, WriteContext, write_row},
};
use crate::{
    base::error::Error,
    engine::{
        json::write_text,
        plan::selection::{ConnectionField, EdgeField, Fetch, Page, PageInfoField},
    },
};

impl Executor<'_> {
    pub(in crate::engine) fn write_page(
        &mut self,
        out: &mut String,
        page: &Page,
        rows: &[RowRef<'_>],
        has_more: bool,
        total: i64,
        children: &[ChildJson<'_>],
    ) -> Result<(), Error> {
        let (next, previous) =
            if page.backward { (page.before.is_some(), has_more) } else { (has_more, page.after.is_some()) };
        for (index, (key, field)) in page.fields.iter().enumerate() {
            out.push(if index == 0 { '{' } else { ',' });
            out.push_str(key);
            match field {
                ConnectionField::Null => out.push_str("null"),
                ConnectionField::Typename(name) => write_text(out, name),
                ConnectionField::Total => out.push_str(&total.to_string()),
                ConnectionField::Nodes(output) => {
                    self.write_objects(out, &page.fetch, *output, rows, children)?;
                }
                ConnectionField::Edges(parts) => {
                    out.push('[');
                    for (index, row) in rows.iter().enumerate() {
                        out.push_str(if index == 0 { "{" } else { ",{" });
                        for (index, (key, field)) in parts.iter().enumerate() {
                            out.push_str(if index == 0 { "" } else { "," });
                            out.push_str(key);
                            match field {
                                EdgeField::Typename(name) => write_text(out, name),
                                EdgeField::Cursor => self.write_cursor(out, page, *row)?,
                                EdgeField::Node(output) => {
                                    self.write_object_into(out, &page.fetch, *output, *row, children)?;
                                }
                            }
                        }
                        out.push('}');
                    }
                    out.push(']');
                }
                ConnectionField::Info(parts) => {
                    out.push('{');
                    for (index, (key, field)) in parts.iter().enumerate() {
                        out.push_str(if index == 0 { "" } else { "," });
                        out.push_str(key);
                        match field {
                            PageInfoField::Typename => out.push_str("\"PageInfo\""),
                            PageInfoField::HasNext => out.push_str(if next { "true" } else { "false" }),
                            PageInfoField::HasPrevious => {
                                out.push_str(if previous { "true" } else { "false" })
                            }
                            PageInfoField::Start | PageInfoField::End => {
                                let row = if matches!(field, PageInfoField::Start) {
                                    rows.first()
                                } else {
                                    rows.last()
                                };
                                match row {
                                    Some(row) => self.write_cursor(out, page, *row)?,
                                    None => out.push_str("null"),
                                }
                            }
                        }
                    }
                    out.push('}');
                }
            }
        }
        out.push_str(if page.fields.is_empty() { "{}" } else { "}" });
        Ok(())
    }

    fn write_cursor(&self, out: &mut String, page: &Page, row: RowRef<'_>) -> Result<(), Error> {
        let values =
            page.order_slots.iter().map(|slot| row.get_owned(*slot)).collect::<Result<Vec<_>, _>>()?;
        write_text(out, &self.seal_cursor(&page.cursor_scope_for(self.caller_id()), &values)?);
        Ok(())
    }
}

impl<'r> Executor<'r> {
    pub(in crate::engine) fn write_object(
        &mut self,
        fetch: &Fetch,
        row: RowRef<'_>,
        children: &[ChildJson<'_>],
    ) -> Result<String, Error> {
        let mut out = String::with_capacity(512);
        self.write_object_into(&mut out, fetch, 0, row, children)?;
        Ok(out)
    }

    pub(in crate::engine) fn write_object_into(
        &mut self,
        out: &mut String,
        fetch: &Fetch,
        output: usize,
        row: RowRef<'_>,
        children: &[ChildJson<'_>],
    ) -> Result<(), Error> {
        let mut context = WriteContext { withheld: &mut self.withheld };
        match fetch.outputs.get(output) {
            Some(output) => write_row(out, output, row, children, &mut context),
            None => Ok(()),
        }
    }

    pub(in crate::engine) fn write_objects(
        &mut self,
        out: &mut String,
        fetch: &Fetch,
        output: usize,
        rows: &[RowRef<'_>],
        children: &[ChildJson<'_>],
    ) -> Result<(), Error> {
        out.reserve(rows.len() * 256 + 2);
        out.push('[');
        for (index, row) in rows.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            self.write_object_into(out, fetch, output, *row, children)?;
        }
        out.push(']');
        Ok(())
    }
}

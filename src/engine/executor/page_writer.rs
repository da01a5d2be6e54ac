//! Writes rows and pages as JSON. Room: engine/executor.

use super::{
    context::Executor,
    rows::RowRef,
    writer::{ChildJson, Context, write_row},
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
        lines: &[RowRef<'_>],
        more: bool,
        total: i64,
        children: &[ChildJson<'_>],
    ) -> Result<(), Error> {
        let (next, previous) =
            if page.backward { (page.before.is_some(), more) } else { (more, page.after.is_some()) };
        for (index, (key, what)) in page.outs.iter().enumerate() {
            out.push(if index == 0 { '{' } else { ',' });
            out.push_str(key);
            match what {
                ConnectionField::Null => out.push_str("null"),
                ConnectionField::Typename(name) => write_text(out, name),
                ConnectionField::Total => out.push_str(&total.to_string()),
                ConnectionField::Nodes(node) => {
                    self.write_all(out, &page.level, *node, lines, children)?;
                }
                ConnectionField::Edges(parts) => {
                    out.push('[');
                    for (index, line) in lines.iter().enumerate() {
                        out.push_str(if index == 0 { "{" } else { ",{" });
                        for (index, (key, what)) in parts.iter().enumerate() {
                            out.push_str(if index == 0 { "" } else { "," });
                            out.push_str(key);
                            match what {
                                EdgeField::Typename(name) => write_text(out, name),
                                EdgeField::Cursor => self.write_cursor(out, page, *line)?,
                                EdgeField::Node(node) => {
                                    self.write_into(out, &page.level, *node, *line, children)?;
                                }
                            }
                        }
                        out.push('}');
                    }
                    out.push(']');
                }
                ConnectionField::Info(parts) => {
                    out.push('{');
                    for (index, (key, what)) in parts.iter().enumerate() {
                        out.push_str(if index == 0 { "" } else { "," });
                        out.push_str(key);
                        match what {
                            PageInfoField::Typename => out.push_str("\"PageInfo\""),
                            PageInfoField::HasNext => out.push_str(if next { "true" } else { "false" }),
                            PageInfoField::HasPrevious => {
                                out.push_str(if previous { "true" } else { "false" })
                            }
                            PageInfoField::Start | PageInfoField::End => {
                                let line = if matches!(what, PageInfoField::Start) {
                                    lines.first()
                                } else {
                                    lines.last()
                                };
                                match line {
                                    Some(line) => self.write_cursor(out, page, *line)?,
                                    None => out.push_str("null"),
                                }
                            }
                        }
                    }
                    out.push('}');
                }
            }
        }
        out.push_str(if page.outs.is_empty() { "{}" } else { "}" });
        Ok(())
    }

    fn write_cursor(&self, out: &mut String, page: &Page, line: RowRef<'_>) -> Result<(), Error> {
        let values = page.order_slots.iter().map(|slot| line.cell(*slot)).collect::<Result<Vec<_>, _>>()?;
        write_text(out, &self.cursor(&page.place_for(self.caller()), &values)?);
        Ok(())
    }
}

impl<'r> Executor<'r> {
    pub(in crate::engine) fn write(
        &mut self,
        level: &Fetch,
        line: RowRef<'_>,
        children: &[ChildJson<'_>],
    ) -> Result<String, Error> {
        let mut out = String::with_capacity(512);
        self.write_into(&mut out, level, 0, line, children)?;
        Ok(out)
    }

    pub(in crate::engine) fn write_into(
        &mut self,
        out: &mut String,
        level: &Fetch,
        node: usize,
        line: RowRef<'_>,
        children: &[ChildJson<'_>],
    ) -> Result<(), Error> {
        let mut context = Context { withheld: &mut self.withheld };
        match level.nodes.get(node) {
            Some(node) => write_row(out, node, line, children, &mut context),
            None => Ok(()),
        }
    }

    pub(in crate::engine) fn write_all(
        &mut self,
        out: &mut String,
        level: &Fetch,
        node: usize,
        lines: &[RowRef<'_>],
        children: &[ChildJson<'_>],
    ) -> Result<(), Error> {
        out.reserve(lines.len() * 256 + 2);
        out.push('[');
        for (index, line) in lines.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            self.write_into(out, level, node, *line, children)?;
        }
        out.push(']');
        Ok(())
    }
}

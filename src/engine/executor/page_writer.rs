//! Writes rows and pages as JSON. Room: engine/executor.

use super::{
    reader::Reader,
    rows::Line,
    writer::{ChildJson, Context, write_row},
};
use crate::{
    base::error::Error,
    engine::{
        json::write_text,
        plan::selection::{EdgeWhat, InfoWhat, Level, Page, PageWhat},
    },
};

impl Reader<'_> {
    pub(in crate::engine) fn write_page(
        &mut self,
        out: &mut String,
        page: &Page,
        lines: &[Line<'_>],
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
                PageWhat::Null => out.push_str("null"),
                PageWhat::Typename(name) => write_text(out, name),
                PageWhat::Total => out.push_str(&total.to_string()),
                PageWhat::Nodes(node) => {
                    self.write_all(out, &page.level, *node, lines, children)?;
                }
                PageWhat::Edges(parts) => {
                    out.push('[');
                    for (index, line) in lines.iter().enumerate() {
                        out.push_str(if index == 0 { "{" } else { ",{" });
                        for (index, (key, what)) in parts.iter().enumerate() {
                            out.push_str(if index == 0 { "" } else { "," });
                            out.push_str(key);
                            match what {
                                EdgeWhat::Typename(name) => write_text(out, name),
                                EdgeWhat::Cursor => self.write_cursor(out, page, *line)?,
                                EdgeWhat::Node(node) => {
                                    self.write_into(out, &page.level, *node, *line, children)?;
                                }
                            }
                        }
                        out.push('}');
                    }
                    out.push(']');
                }
                PageWhat::Info(parts) => {
                    out.push('{');
                    for (index, (key, what)) in parts.iter().enumerate() {
                        out.push_str(if index == 0 { "" } else { "," });
                        out.push_str(key);
                        match what {
                            InfoWhat::Typename => out.push_str("\"PageInfo\""),
                            InfoWhat::HasNext => out.push_str(if next { "true" } else { "false" }),
                            InfoWhat::HasPrevious => out.push_str(if previous { "true" } else { "false" }),
                            InfoWhat::Start | InfoWhat::End => {
                                let line = if matches!(what, InfoWhat::Start) {
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

    fn write_cursor(&self, out: &mut String, page: &Page, line: Line<'_>) -> Result<(), Error> {
        let values = page.order_slots.iter().map(|slot| line.cell(*slot)).collect::<Result<Vec<_>, _>>()?;
        write_text(out, &self.cursor(&page.place_for(self.caller()), &values)?);
        Ok(())
    }
}

impl<'r> Reader<'r> {
    pub(in crate::engine) fn write(
        &mut self,
        level: &Level,
        line: Line<'_>,
        children: &[ChildJson<'_>],
    ) -> Result<String, Error> {
        let mut out = String::with_capacity(512);
        self.write_into(&mut out, level, 0, line, children)?;
        Ok(out)
    }

    pub(in crate::engine) fn write_into(
        &mut self,
        out: &mut String,
        level: &Level,
        node: usize,
        line: Line<'_>,
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
        level: &Level,
        node: usize,
        lines: &[Line<'_>],
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

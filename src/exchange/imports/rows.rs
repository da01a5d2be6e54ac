//! The rows of a file in any format. Room: exchange/imports.

use std::io::{self, Read};

use super::{
    contact_import::ContactImport,
    csv,
    report::Problem,
    row_draft::{CheckedRow, ValueChecks},
    vcard,
};
use crate::exchange::imports::{native, options::Format};
use crate::{app::App, base::error::Error, domain::suppressions};

/// The rows of a file in any format.
pub(super) enum Rows<R> {
    Csv(Box<csv::CsvRows<R>>),
    VCard(vcard::CardRows<R>),
    JsonLines(native::JsonRows<R>),
}

impl<R: Read> Rows<R> {
    /// The rows, and what is wrong with the columns. For advertising a file in which an unmapped column may say no is
    /// looked through first.
    pub fn open_checked<F: Fn() -> io::Result<R>>(
        open: F,
        import: &ContactImport,
        app: &App,
    ) -> Result<(Self, Vec<Problem>), Error> {
        let file = || open().map_err(|_| Error::bad_input("the file cannot be opened"));
        let opened = Self::open(file()?, import, app)?;
        match opened {
            (Self::Csv(rows), _)
                if rows.is_doubtful()
                    && suppressions::is_advertising(&app.policy.current(), &import.purpose) =>
            {
                rows.check_doubtful_columns()?;
                Self::open(file()?, import, app)
            }
            opened => Ok(opened),
        }
    }

    /// The rows, and what is wrong with the columns.
    fn open(file: R, import: &ContactImport, app: &App) -> Result<(Self, Vec<Problem>), Error> {
        let today = app.now().date_naive();
        let checks = ValueChecks::new(&import.read_options, today);
        let mut problems = Vec::new();
        let advertising = suppressions::is_advertising(&app.policy.current(), &import.purpose);
        let rows = match import.read_options.format {
            Format::Csv => {
                let (rows, unclear) = csv::CsvRows::open(file, import, advertising, checks, today)?;
                problems = unclear;
                Self::Csv(Box::new(rows))
            }
            Format::VCard => Self::VCard(vcard::CardRows::new(file, import.read_options.encoding, checks)),
            Format::JsonLines => {
                let ignored = import.ignore.iter().any(|name| name == native::OPT_OUTS);
                Self::JsonLines(native::JsonRows::new(
                    file,
                    checks,
                    today,
                    advertising && !ignored,
                    import.expected_version.clone(),
                ))
            }
        };
        Ok((rows, problems))
    }

    pub fn next(&mut self) -> Result<Option<CheckedRow>, Error> {
        match self {
            Self::Csv(rows) => rows.next(),
            Self::VCard(rows) => rows.next(),
            Self::JsonLines(rows) => rows.next(),
        }
    }
}

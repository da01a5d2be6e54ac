//! The deadline of a privacy request (Art. 12(3); Regulation (EEC, Euratom) No 1182/71, Art. 3).
//! Room: domain/requests.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, Utc, Weekday};

/// The end of one month after `received`: midnight (UTC) after the same date of the next month, or after its last
/// day; a weekend moves it to the Monday after. Public holidays are unknown here, so a deadline is never too late.
/// `None` beyond the calendar.
pub fn due_at(received: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let last = working_day(received.date_naive().checked_add_months(Months::new(1))?)?;
    Some(last.succ_opt()?.and_time(NaiveTime::MIN).and_utc())
}

fn working_day(date: NaiveDate) -> Option<NaiveDate> {
    let weekend = match date.weekday() {
        Weekday::Sat => 2,
        Weekday::Sun => 1,
        _ => 0,
    };
    date.checked_add_days(Days::new(weekend))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_by_the_regulation() {
        for (received, ended) in [
            // The same date of the following month.
            ("2026-11-02T09:00:00Z", "2026-12-03T00:00:00Z"),
            ("2026-11-02T23:59:59Z", "2026-12-03T00:00:00Z"),
            // Where there is none, the last day of the month; 2026-02-28 is a Saturday, so the Monday after it.
            ("2026-01-31T12:00:00Z", "2026-03-03T00:00:00Z"),
            ("2027-12-31T12:00:00Z", "2028-02-01T00:00:00Z"),
            ("2028-01-30T12:00:00Z", "2028-03-01T00:00:00Z"),
            // A Sunday moves to Monday.
            ("2026-10-29T12:00:00Z", "2026-12-01T00:00:00Z"),
        ] {
            assert_eq!(due_at(received.parse().unwrap()), Some(ended.parse().unwrap()), "{received}");
        }
        assert_eq!(due_at(DateTime::<Utc>::MAX_UTC), None);
    }
}

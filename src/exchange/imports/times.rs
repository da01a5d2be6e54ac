//! Instants as files write them. Room: exchange/imports.

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, SubsecRound, TimeDelta, Utc};

/// RFC 3339, or a date with an offset, e.g. `2026-10-01+02:00`: its first or last microsecond.
pub(super) fn instant(text: &str, last: bool) -> Option<DateTime<Utc>> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.to_utc().trunc_subsecs(6));
    }
    let (date, offset) = text.split_at_checked(10)?;
    let date: NaiveDate = date.parse().ok()?;
    let date = if last { date.checked_add_days(Days::new(1))? } else { date };
    let at = DateTime::parse_from_rfc3339(&format!("{date}T00:00:00{offset}")).ok()?.to_utc();
    Some(if last { at - TimeDelta::microseconds(1) } else { at })
}

/// The last instant that may be meant, as programs export times: with an offset, without one, a date alone, or seconds
/// since 1970.
pub(super) fn latest(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if let Some(at) = instant(text, true) {
        return Some(at);
    }
    if text.len() >= 9 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return DateTime::from_timestamp(text.parse().ok()?, 0);
    }
    // Where on earth the clock stood is not known: nowhere is it later.
    let west = TimeDelta::hours(12);
    let clock = [
        "%Y-%m-%d %H:%M:%S",
        "%Y-%m-%dT%H:%M:%S",
        "%Y-%m-%d %H:%M",
        "%d.%m.%Y %H:%M:%S",
        "%d.%m.%Y %H:%M",
        "%d-%m-%Y %H:%M:%S",
    ];
    if let Some(at) = clock.iter().find_map(|shape| NaiveDateTime::parse_from_str(text, shape).ok()) {
        return Some(at.and_utc() + west);
    }
    let date = date(text)?.checked_add_days(Days::new(1))?.and_time(NaiveTime::MIN).and_utc();
    Some(date - TimeDelta::microseconds(1) + west)
}

fn date(text: &str) -> Option<NaiveDate> {
    ["%Y-%m-%d", "%d.%m.%Y", "%d-%m-%Y"].iter().find_map(|shape| NaiveDate::parse_from_str(text, shape).ok())
}

/// Whether a cell holds a time of this century, and not just a number.
pub(super) fn is_time(cell: &str) -> bool {
    let century = DateTime::from_timestamp(946_684_800, 0);
    let number = cell.bytes().all(|byte| byte.is_ascii_digit());
    !number && (latest(cell).is_some_and(|at| Some(at) >= century) || is_short_time(cell))
}

/// Whether a cell holds a time of this century as people write it short: a month, or a day whose order is not said,
/// with two or four digits of a year.
fn is_short_time(cell: &str) -> bool {
    let parts: Vec<&str> = cell.trim().split(['/', '.', '-', ' ']).filter(|part| !part.is_empty()).collect();
    let number = |part: &&str| -> Option<u32> {
        (part.len() <= 4 && part.bytes().all(|byte| byte.is_ascii_digit())).then(|| part.parse().ok())?
    };
    let Some(numbers) = parts.iter().map(number).collect::<Option<Vec<u32>>>() else { return false };
    let (month, day) = (|n: u32| (1..=12).contains(&n), |n: u32| (1..=31).contains(&n));
    let year = |n: u32| (2000..2100).contains(&n);
    match numbers.as_slice() {
        [one, two] => (month(*one) && year(*two)) || (year(*one) && month(*two)),
        [one, two, three] => {
            // A year of one digit is a version.
            let short = parts.last().is_some_and(|year| year.len() == 2);
            let days = (day(*one) && month(*two)) || (month(*one) && day(*two));
            (days && (year(*three) || short)) || (year(*one) && day(*two) && day(*three))
        }
        _ => false,
    }
}

/// Whether a cell holds nothing but a year of this century.
pub(super) fn is_year(cell: &str) -> bool {
    let cell = cell.trim();
    cell.len() == 4 && cell.bytes().all(|byte| byte.is_ascii_digit()) && cell.starts_with("20")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_have_an_offset() {
        let parsed = |text: &str, last| instant(text, last).map(|at| at.to_rfc3339());
        assert_eq!(parsed("2026-10-01T10:00:00+02:00", false).unwrap(), "2026-10-01T08:00:00+00:00");
        assert_eq!(parsed("2026-10-01+02:00", false).unwrap(), "2026-09-30T22:00:00+00:00");
        assert_eq!(parsed("2026-10-01Z", true).unwrap(), "2026-10-01T23:59:59.999999+00:00");
        for bad in ["2026-10-01", "2026-10-01T10:00:00", "yesterday", "", "2026-13-01Z", "01.10.2026"] {
            assert_eq!(parsed(bad, false), None, "{bad}");
        }
    }

    #[test]
    fn what_is_not_known_of_a_time_makes_it_later() {
        let parsed = |text: &str| latest(text).map(|at| at.to_rfc3339());
        assert_eq!(parsed("2026-10-01 10:00:00").unwrap(), "2026-10-01T22:00:00+00:00");
        assert_eq!(parsed("01.10.2026").unwrap(), "2026-10-02T11:59:59.999999+00:00");
        assert_eq!(parsed("1790848800").unwrap(), "2026-10-01T10:00:00+00:00");
        assert_eq!(parsed("2026-10-01T10:00:00+02:00").unwrap(), "2026-10-01T08:00:00+00:00");
        for bad in ["", "soon", "0", "12345"] {
            assert_eq!(parsed(bad), None, "{bad}");
        }
        assert!(is_time("2028-12-31") && !is_time("1979-03-14") && !is_time("1790848800") && !is_time("7"));
        for time in ["12/2025", "25.11.26", "11/25/2026", "25/11/2026", "2026/11/25", "2026-11", "1.2.2026"] {
            assert!(is_time(time), "{time}");
        }
        for other in
            ["13/2025", "1.2.3.4", "1.2.3", "3.5", "10115", "12/1999", "1-800-2000", "12.5.100", "2025"]
        {
            assert!(!is_time(other), "{other}");
        }
        assert!(is_year("2025") && !is_year("1979") && !is_year("20255"));
    }
}

//! Time-ordered ids (RFC 9562, UUIDv7). Room: base.

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// A new UUIDv7 for the instant `at`, ordered by microsecond (RFC 9562, 6.2, method 3), followed by random bits.
pub fn id_at(at: DateTime<Utc>) -> Uuid {
    let micros = at.timestamp_micros().max(0).unsigned_abs();
    let mut random: [u8; 10] = rand::random();
    // The 12 bits after the version hold the fraction of the millisecond.
    let fraction = u16::try_from((micros % 1_000) * 4_096 / 1_000).unwrap_or_default().to_be_bytes();
    let [high, low, ..] = &mut random;
    [*high, *low] = fraction;
    uuid::Builder::from_unix_timestamp_millis(micros / 1_000, &random).into_uuid()
}

/// A new UUIDv7 like [`id_at`], but always greater than `last`, whatever the clock says.
pub fn id_after(last: Option<Uuid>, at: DateTime<Utc>) -> Uuid {
    let behind = last.map(|last| {
        let (millis, fraction) = (last.as_u128() >> 80, (last.as_u128() >> 64) & 0xfff);
        // The microsecond that the fraction was computed from, plus one.
        i64::try_from(millis * 1_000 + (fraction * 1_000).div_ceil(4_096) + 1).unwrap_or(i64::MAX)
    });
    let micros = at.timestamp_micros().max(behind.unwrap_or(0));
    id_at(DateTime::from_timestamp_micros(micros).unwrap_or(at))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn ids_are_ordered_by_the_microsecond() {
        let at = DateTime::from_timestamp_micros(1_793_610_000_123_456).unwrap();
        let ids: Vec<Uuid> = (0..2_000).map(|micros| id_at(at + TimeDelta::microseconds(micros))).collect();
        assert!(ids.is_sorted());
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
        assert_eq!(ids[0].get_timestamp().unwrap().to_unix(), (1_793_610_000, 123_000_000));
        assert_ne!(id_at(at), id_at(at));
    }

    #[test]
    fn an_id_after_another_is_greater_though_the_clock_stands_or_goes_back() {
        let at = DateTime::from_timestamp_micros(1_793_610_000_123_999).unwrap();
        let mut last = id_at(at + TimeDelta::hours(1));
        for _ in 0..3_000 {
            let next = id_after(Some(last), at);
            assert!(next > last, "{next} {last}");
            last = next;
        }
        // The random part of another id cannot fall in between either.
        let greatest = Uuid::from_u128(last.as_u128() | ((1 << 62) - 1));
        assert!(id_after(Some(greatest), at) > greatest);
        assert_eq!(id_after(None, at).get_timestamp().unwrap().to_unix(), (1_793_610_000, 123_000_000));
    }
}

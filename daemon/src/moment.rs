//! Instants as people and JSON read them.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// RFC 3339 in UTC with three digits of a second, from milliseconds since 1970: texts of one
/// length, which sort as the instants do.
pub fn rfc3339(ms: i64) -> String {
    match OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000) {
        Ok(at) if (0..10_000).contains(&at.year()) => {
            let (hour, minute, second, milli) = at.to_hms_milli();
            format!(
                "{}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z",
                at.date()
            )
        }
        _ => "9999-12-31T23:59:59.999Z".to_owned(),
    }
}

/// Reads such a text, of any offset.
pub fn parse(text: &str) -> Option<i64> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_with_their_offset() {
        let read = parse("2023-11-14T23:13:20.123+01:00");
        assert_eq!(read, Some(1_700_000_000_123));
        assert_eq!(parse("yesterday"), None);
    }

    #[test]
    fn instants_are_written_in_utc() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(1_500), "1970-01-01T00:00:01.500Z");
        assert_eq!(rfc3339(i64::MAX), "9999-12-31T23:59:59.999Z");
    }
}

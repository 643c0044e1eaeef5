//! Times as HTTP and WebDAV write them. All are UTC.

/// Room for an IMF-fixdate.
pub const IMF_BYTES: usize = 29;

const NS_PER_S: i64 = 1_000_000_000;
const S_PER_DAY: i64 = 86_400;
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Appends an IMF-fixdate (RFC 9110 §5.6.7), such as `Sun, 06 Nov 1994 08:49:37 GMT`.
///
/// Years outside 0–9999 are drawn to the nearest moment that can be written.
pub fn write_imf(out: &mut Vec<u8>, seconds: i64) {
    let t = Civil::from_seconds(seconds);
    let day = DAYS[usize::try_from(t.day_number.rem_euclid(7)).expect("a remainder below 7")];
    let month = MONTHS[t.month - 1];
    out.extend_from_slice(day.as_bytes());
    out.extend_from_slice(b", ");
    push_digits(out, t.day, 2);
    out.push(b' ');
    out.extend_from_slice(month.as_bytes());
    out.push(b' ');
    push_digits(out, t.year, 4);
    out.push(b' ');
    push_clock(out, &t);
    out.extend_from_slice(b" GMT");
}

/// Appends what `creationdate` holds (RFC 3339): `1997-12-01T17:42:21Z`.
pub fn write_iso(out: &mut Vec<u8>, seconds: i64) {
    let t = Civil::from_seconds(seconds);
    push_digits(out, t.year, 4);
    out.push(b'-');
    push_digits(out, i64::try_from(t.month).expect("a month fits"), 2);
    out.push(b'-');
    push_digits(out, t.day, 2);
    out.push(b'T');
    push_clock(out, &t);
    out.push(b'Z');
}

/// Reads a date in any of HTTP's three forms; seconds since 1970.
///
/// An IMF-fixdate may lie before 1970: Windows sends 1601 in `Win32CreationTime` and its siblings
/// for a time it does not know. The two obsolete forms may not.
pub fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    parse_imf(text).or_else(|| {
        let time = httpdate::parse_http_date(text).ok()?;
        let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
        i64::try_from(since.as_secs()).ok()
    })
}

/// Reads `X-OC-Mtime`: seconds since 1970, whole or with a decimal fraction. Nanoseconds.
pub fn parse_oc_mtime(text: &str) -> Option<i64> {
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || text.len() > 64 {
        return None;
    }
    let mut nanoseconds = 0;
    for digit in fraction.bytes().chain(std::iter::repeat(b'0')).take(9) {
        nanoseconds = nanoseconds * 10 + i64::from(digit - b'0');
    }
    let time = whole
        .parse::<i64>()
        .ok()?
        .checked_mul(NS_PER_S)?
        .checked_add(nanoseconds)?;
    Some(if negative { -time } else { time })
}

fn parse_imf(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.len() != IMF_BYTES || !text.is_ascii() || !text.ends_with(" GMT") {
        return None;
    }
    if &text[3..5] != ", " || !DAYS.contains(&&text[..3]) {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = &text[from..to];
        digits
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| digits.parse().ok())?
    };
    let separators = [(7, b' '), (11, b' '), (16, b' '), (19, b':'), (22, b':')];
    if separators.iter().any(|&(at, byte)| bytes[at] != byte) {
        return None;
    }
    let month = MONTHS.iter().position(|name| *name == &text[8..11])? + 1;
    let (day, year) = (number(5, 7)?, number(12, 16)?);
    let (hour, minute, second) = (number(17, 19)?, number(20, 22)?, number(23, 25)?);
    let days = days_from_civil(year, i64::try_from(month).ok()?, day);
    let real = Civil::from_seconds(days * S_PER_DAY);
    // 60 is a leap second; a day such as 31 February does not come back as itself.
    if hour > 23 || minute > 59 || second > 60 || real.day != day || real.month != month {
        return None;
    }
    Some(days * S_PER_DAY + hour * 3600 + minute * 60 + second)
}

struct Civil {
    year: i64,
    month: usize,
    day: i64,
    /// Seconds into the day.
    clock: i64,
    /// Days since 1970.
    day_number: i64,
}

impl Civil {
    fn from_seconds(seconds: i64) -> Self {
        // 0000-01-01 to 9999-12-31T23:59:59.
        let seconds = seconds.clamp(-62_167_219_200, 253_402_300_799);
        let day_number = seconds.div_euclid(S_PER_DAY);
        // Years of this arithmetic begin in March, so that the leap day is the last.
        let shifted = day_number + 719_468;
        let era = shifted.div_euclid(146_097);
        let of_era = shifted.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let month = if from_march < 10 {
            from_march + 3
        } else {
            from_march - 9
        };
        Self {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month: usize::try_from(month).expect("a month is positive"),
            day: of_year - (153 * from_march + 2) / 5 + 1,
            clock: seconds.rem_euclid(S_PER_DAY),
            day_number,
        }
    }
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    era * 146_097 + of_era - 719_468
}

fn push_clock(out: &mut Vec<u8>, t: &Civil) {
    push_digits(out, t.clock / 3600, 2);
    out.push(b':');
    push_digits(out, t.clock / 60 % 60, 2);
    out.push(b':');
    push_digits(out, t.clock % 60, 2);
}

fn push_digits(out: &mut Vec<u8>, number: i64, width: u32) {
    for place in (0..width).rev() {
        let digit = number / 10_i64.pow(place) % 10;
        out.push(b'0' + u8::try_from(digit).expect("a decimal digit"));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn imf(seconds: i64) -> String {
        let mut out = Vec::new();
        write_imf(&mut out, seconds);
        String::from_utf8(out).unwrap()
    }

    fn iso(seconds: i64) -> String {
        let mut out = Vec::new();
        write_iso(&mut out, seconds);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_examples_of_the_rfcs() {
        assert_eq!(imf(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(text), Some(784_111_777), "{text}");
        }
        assert_eq!(iso(880_998_141), "1997-12-01T17:42:21Z");
        assert_eq!(imf(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(iso(951_782_400), "2000-02-29T00:00:00Z");
    }

    #[test]
    fn windows_sends_1601() {
        assert_eq!(
            parse("Mon, 01 Jan 1601 00:00:00 GMT"),
            Some(-11_644_473_600)
        );
        assert_eq!(imf(-11_644_473_600), "Mon, 01 Jan 1601 00:00:00 GMT");
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "now",
            "Sun, 31 Feb 2021 00:00:00 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, +6 Nov 1994 08:49:37 GMT",
            "Sün, 06 Nov 1994 08:49:37 GM",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn oc_mtime_is_whole_or_decimal() {
        assert_eq!(parse_oc_mtime("1700000000"), Some(1_700_000_000 * NS_PER_S));
        assert_eq!(
            parse_oc_mtime("1700000000.5"),
            Some(1_700_000_000 * NS_PER_S + 500_000_000)
        );
        assert_eq!(parse_oc_mtime("1.1234567899"), Some(1_123_456_789));
        assert_eq!(parse_oc_mtime("-1.5"), Some(-1_500_000_000));
        for bad in [
            "",
            ".5",
            "1.",
            "1e9",
            "0x5",
            "--1",
            "99999999999999",
            "1.2.3",
            "+1",
        ] {
            assert_eq!(parse_oc_mtime(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn imf_comes_back(seconds in -62_167_219_200_i64..253_402_300_800) {
            let text = imf(seconds);
            prop_assert_eq!(text.len(), IMF_BYTES);
            prop_assert_eq!(parse(&text), Some(seconds));
        }

        #[test]
        fn any_number_can_be_written(seconds: i64) {
            prop_assert_eq!(imf(seconds).len(), IMF_BYTES);
            prop_assert_eq!(iso(seconds).len(), 20);
        }

        #[test]
        fn nothing_panics(text in "\\PC{0,40}", near in "Sun, .{17,19} GMT") {
            parse(&text);
            parse(&near);
            parse_oc_mtime(&text);
        }
    }
}

//! How people write quantities: durations, sizes, times, rates, lists of cores.
//!
//! A number without a unit is refused where a unit makes sense, because nobody remembers which one
//! was meant. Errors are sentences without the key; the caller knows the key.

use std::time::{Duration, SystemTime};

/// Units of a duration, with nanoseconds in one.
const DURATION_UNITS: [(&str, u64); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// Units of a size, with bytes in one.
const SIZE_UNITS: [(&str, u64); 4] =
    [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// A core number beyond this is a slip of the finger.
const CORES_MAX: usize = 4096;

/// A duration: numbers with `ns us ms s m h d`, joined: `100ms`, `1m30s`, `1.5s`.
///
/// # Errors
///
/// A sentence that says what is wrong with the text.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    const FORM: &str = "a duration is numbers with ns, us, ms, s, m, h or d, such as \"1m30s\"";
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(format!("{FORM}; this is empty"));
    }
    let mut nanos: u64 = 0;
    while !rest.is_empty() {
        let (number, unit, after) = split_quantity(rest);
        if number.is_empty() {
            return Err(format!("{FORM}, not \"{text}\""));
        }
        if unit.is_empty() {
            return Err(format!("{FORM}; \"{text}\" has a number without a unit"));
        }
        let Some(&(_, factor)) = DURATION_UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(format!("{FORM}; \"{unit}\" is none of these units"));
        };
        let part = scaled(number, factor).ok_or_else(|| {
            format!("{FORM}; \"{number}{unit}\" is no whole number of nanoseconds below 584 years")
        })?;
        nanos = nanos.checked_add(part).ok_or_else(|| format!("\"{text}\" is too long a time"))?;
        rest = after;
    }
    Ok(Duration::from_nanos(nanos))
}

/// Splits `1.5ms…` into number, unit and the rest.
fn split_quantity(text: &str) -> (&str, &str, &str) {
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let number_end = text.find(|c| !is_number(c)).unwrap_or(text.len());
    let (number, rest) = text.split_at(number_end);
    let unit_end = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_end);
    (number, unit, rest)
}

/// Decimal text times a factor, if that is a whole number.
fn scaled(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if number.ends_with('.') || fraction.contains('.') || fraction.len() > 18 {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(factor)?;
    if fraction.is_empty() {
        return Some(whole);
    }
    let divisor = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let parts = fraction.parse::<u128>().ok()? * u128::from(factor);
    if !parts.is_multiple_of(divisor) {
        return None;
    }
    whole.checked_add(u64::try_from(parts / divisor).ok()?)
}

/// The same, the shortest way: `1m30s`, `100ms`.
pub fn show_duration(duration: Duration) -> String {
    let mut nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, factor) in DURATION_UNITS.iter().rev() {
        if nanos >= *factor {
            text.push_str(&format!("{}{unit}", nanos / factor));
            nanos %= factor;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// About the same, for people: two digits at least, and one unit: `1.9s`, `35ms`, `288us`.
pub fn show_about(duration: Duration) -> String {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")];
    let Some((factor, unit)) = units.into_iter().find(|(factor, _)| nanos >= *factor) else {
        return format!("{nanos}ns");
    };
    match nanos / factor {
        whole @ 10.. => format!("{whole}{unit}"),
        whole => format!("{whole}.{}{unit}", nanos % factor * 10 / factor),
    }
}

/// A size: one whole number with `B`, `KiB`, `MiB` or `GiB`.
///
/// # Errors
///
/// A sentence that says what is wrong with the text.
pub fn parse_size(text: &str) -> Result<u64, String> {
    const FORM: &str = "a size is a whole number with B, KiB, MiB or GiB, such as \"64MiB\"";
    let trimmed = text.trim();
    let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = trimmed.split_at(digits);
    let unit = unit.trim_start();
    if number.is_empty() {
        return Err(format!("{FORM}, not \"{text}\""));
    }
    let Some((_, factor)) = SIZE_UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(match unit {
            "" => format!("{FORM}; \"{text}\" has no unit"),
            _ => format!("{FORM}; \"{unit}\" is none of these units"),
        });
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor));
    bytes.ok_or_else(|| format!("\"{text}\" is more than this program can count"))
}

/// The same, in the largest unit that divides it.
pub fn show_size(bytes: u64) -> String {
    let whole = SIZE_UNITS
        .iter()
        .rev()
        .find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor));
    let (unit, factor) = whole.copied().unwrap_or(("B", 1));
    format!("{}{unit}", bytes / factor)
}

/// A time, RFC 3339: milliseconds since the epoch.
///
/// # Errors
///
/// A sentence that says what is wrong with the text.
pub fn parse_time(text: &str) -> Result<i64, String> {
    let time = text.trim().parse::<jiff::Timestamp>().map_err(|_| {
        format!("a time is written as RFC 3339, such as \"2026-11-21T05:37:00Z\", not \"{text}\"")
    })?;
    Ok(time.as_millisecond())
}

/// A time, or an age before now: milliseconds since the epoch.
///
/// # Errors
///
/// A sentence that says how a moment is written.
pub fn parse_moment(text: &str) -> Result<i64, String> {
    if let Ok(time) = parse_time(text) {
        return Ok(time);
    }
    let age = parse_duration(text).map_err(|_| {
        "a moment is RFC 3339, such as 2026-11-21T05:37:00Z, or an age, such as 2h".to_owned()
    })?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Ok(now.as_millis() as i64 - age.as_millis() as i64)
}

/// Records per second: a number, `k` and `M` allowed: `200`, `20k`, `1.5M`.
///
/// # Errors
///
/// A sentence that says what is wrong with the text.
pub fn parse_rate(text: &str) -> Result<u64, String> {
    thousands(text, "a rate is records per second, such as 200, 20k or 1.5M")
}

/// A number of records: `k` and `M` allowed, as in a rate.
///
/// # Errors
///
/// A sentence that says what is wrong with the text.
pub fn parse_count(text: &str) -> Result<u64, String> {
    thousands(text, "a number of records is whole, such as 200, 20k or 1.5M")
}

fn thousands(text: &str, form: &str) -> Result<u64, String> {
    let trimmed = text.trim();
    let (number, factor) = match trimmed.strip_suffix(['k', 'K']) {
        Some(number) => (number, 1_000),
        None => trimmed.strip_suffix('M').map_or((trimmed, 1), |number| (number, 1_000_000)),
    };
    match scaled(number, factor) {
        Some(0) | None => Err(format!("{form}, not \"{text}\"")),
        Some(number) => Ok(number),
    }
}

/// A kernel's list of cores: `2,4-7`. In order, each once.
///
/// # Errors
///
/// A sentence that says what is wrong with the text.
pub fn parse_cores(text: &str) -> Result<Vec<usize>, String> {
    let wrong = || format!("a list of cores is written as \"2,4-7\", not \"{text}\"");
    let mut cores = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: usize = first.trim().parse().map_err(|_| wrong())?;
        let last: usize = last.trim().parse().map_err(|_| wrong())?;
        if first > last || last >= CORES_MAX {
            return Err(wrong());
        }
        cores.extend(first..=last);
    }
    cores.sort_unstable();
    cores.dedup();
    Ok(cores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_units_and_join() {
        assert_eq!(parse_duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("1.5ms"), Ok(Duration::from_micros(1500)));
        assert_eq!(parse_duration("0s"), Ok(Duration::ZERO));
        assert_eq!(parse_duration("7d"), Ok(Duration::from_secs(7 * 86_400)));
        for wrong in
            ["", "5", "ms", "1m30", "5 minutes", "1.5ns", "-1s", "1..5s", "999999999d", "1µs"]
        {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_are_shown_as_they_are_written() {
        for text in ["1m30s", "100ms", "0s", "1d", "1s500ms", "1us"] {
            assert_eq!(show_duration(parse_duration(text).unwrap()), text);
        }
    }

    #[test]
    fn sizes_need_units() {
        assert_eq!(parse_size("64MiB"), Ok(64 << 20));
        assert_eq!(parse_size("1 KiB"), Ok(1024));
        assert_eq!(show_size(64 << 20), "64MiB");
        assert_eq!(show_size(1025), "1025B");
        assert_eq!(show_size(0), "0B");
        for wrong in ["64", "64MB", "MiB", "1.5MiB", "99999999999GiB", ""] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rates_times_and_cores() {
        let about = [7, 1_500, 288_137, 34_686_929, 1_999_999_999, 61_000_000_000];
        let about = about.map(|nanos| show_about(Duration::from_nanos(nanos)));
        assert_eq!(about, ["7ns", "1.5us", "288us", "34ms", "1.9s", "61s"]);
        assert_eq!(parse_rate("20k"), Ok(20_000));
        assert_eq!(parse_rate("1.5M"), Ok(1_500_000));
        assert_eq!(parse_rate("200"), Ok(200));
        assert!(parse_rate("0").is_err() && parse_rate("fast").is_err());
        assert_eq!(parse_count("1.5k"), Ok(1_500));
        assert!(parse_count("1.5").unwrap_err().starts_with("a number of records"));
        assert_eq!(parse_time("1970-01-01T00:00:01.5Z"), Ok(1500));
        assert!(parse_time("yesterday").is_err());
        assert_eq!(parse_cores("2,4-6,4"), Ok(vec![2, 4, 5, 6]));
        assert!(parse_cores("7-4").is_err() && parse_cores("").is_err());
        assert!(parse_cores("1-99999").is_err());
    }

    #[test]
    fn a_moment_is_a_time_or_an_age() {
        assert_eq!(parse_moment("1970-01-01T00:00:01Z"), Ok(1000));
        assert!(parse_moment("1h").unwrap() < parse_moment("1m").unwrap());
        assert!(parse_moment("yesterday").unwrap_err().contains("RFC 3339"));
    }
}

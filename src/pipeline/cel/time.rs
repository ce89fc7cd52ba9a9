//! Points in time as CEL has them, from the year 1 to 9999, read, written and taken apart.
//!
//! The calendar and the time zones are jiff's. Its own timestamps end 26 hours too early, so what
//! lies there is computed 400 years before, where the calendar is the same.

use std::fmt;

use jiff::{
    Timestamp,
    civil::{self, DateTime},
    tz::{Offset, TimeZone},
};

const SECONDS_MIN: i64 = -62_135_596_800;
const SECONDS_MAX: i64 = 253_402_300_799;
const NANOS: i128 = 1_000_000_000;
/// 400 years, after which the calendar repeats itself, weekdays included.
const CYCLE_SECONDS: i64 = 146_097 * 86_400;
const CYCLE_YEARS: i16 = 400;
/// From here on times are computed a cycle earlier.
const LATE_SECONDS: i64 = 253_370_764_800;

/// A point in time, to the nanosecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    seconds: i64,
    nanos: u32,
}

impl Time {
    /// From nanoseconds since the epoch; nothing outside of the years 1 to 9999.
    pub fn from_nanos(nanos: i128) -> Option<Time> {
        let seconds = i64::try_from(nanos.div_euclid(NANOS)).ok()?;
        let time = Time { seconds, nanos: nanos.rem_euclid(NANOS) as u32 };
        (SECONDS_MIN..=SECONDS_MAX).contains(&seconds).then_some(time)
    }

    /// From whole seconds since the epoch.
    pub fn from_seconds(seconds: i64) -> Option<Time> {
        Time::from_nanos(i128::from(seconds) * NANOS)
    }

    /// Nanoseconds since the epoch.
    pub fn nanos(self) -> i128 {
        i128::from(self.seconds) * NANOS + i128::from(self.nanos)
    }

    /// Whole seconds since the epoch, rounded down.
    pub fn seconds(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds of the second.
    pub fn subsecond_nanos(self) -> u32 {
        self.nanos
    }

    /// Reads RFC 3339.
    pub fn parse(text: &str) -> Option<Time> {
        let bytes = text.as_bytes();
        let shape = bytes.get(..19)?;
        let fits = shape.iter().zip(b"dddd-dd-ddTdd:dd:dd").all(|(byte, wanted)| match wanted {
            b'd' => byte.is_ascii_digit(),
            b'T' => matches!(byte, b'T' | b't'),
            other => byte == other,
        });
        if !fits {
            return None;
        }
        let number = |from: usize, to: usize| -> Option<i16> { text.get(from..to)?.parse().ok() };
        let small = |from: usize| -> Option<i8> { text.get(from..from + 2)?.parse().ok() };
        let year = number(0, 4).filter(|year| *year > 0)?;
        let late = year >= 9999;
        let year = if late { year - CYCLE_YEARS } else { year };
        let (nanos, zone) = fraction(&text[19..])?;
        let civil =
            DateTime::new(year, small(5)?, small(8)?, small(11)?, small(14)?, small(17)?, 0);
        let local = Offset::UTC.to_timestamp(civil.ok()?).ok()?.as_second();
        let seconds = local + if late { CYCLE_SECONDS } else { 0 } - offset_seconds(zone)?;
        Time::from_nanos(i128::from(seconds) * NANOS + i128::from(nanos))
    }

    /// The date and the time of day; the year is to be raised by the second part.
    pub(super) fn civil(self, zone: Option<&TimeZone>) -> (DateTime, i16) {
        let late = self.seconds >= LATE_SECONDS;
        let offset = zone.map_or(0, |zone| self.offset_seconds(zone));
        let seconds = self.seconds + offset - if late { CYCLE_SECONDS } else { 0 };
        let at = Timestamp::new(seconds, self.nanos as i32).unwrap_or(Timestamp::UNIX_EPOCH);
        (Offset::UTC.to_datetime(at), if late { CYCLE_YEARS } else { 0 })
    }

    fn offset_seconds(self, zone: &TimeZone) -> i64 {
        let at = Timestamp::from_second(self.seconds.min(LATE_SECONDS));
        at.map_or(0, |at| zone.to_offset(at).seconds().into())
    }
}

/// Nanoseconds of `.123`, if it stands there, and what is behind it.
fn fraction(text: &str) -> Option<(u32, &str)> {
    let Some(rest) = text.strip_prefix('.') else { return Some((0, text)) };
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let digits = rest.get(..end).filter(|digits| (1..=9).contains(&digits.len()))?;
    let scale = 10_u32.pow(9 - digits.len() as u32);
    Some((digits.parse::<u32>().ok()? * scale, &rest[end..]))
}

/// Seconds east of Greenwich of `Z`, `+02:00`.
fn offset_seconds(text: &str) -> Option<i64> {
    match text.as_bytes() {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), rest @ ..] => {
            let seconds = clock_seconds(std::str::from_utf8(rest).ok()?)?;
            Some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

/// Seconds of `02:30`.
fn clock_seconds(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |part: &str| -> Option<i64> {
        let plain = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| part.parse().ok()).flatten()
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    (hours < 24 && minutes < 60).then_some(hours * 3_600 + minutes * 60)
}

/// The time zone of that name, such as `Europe/Berlin`, or of an offset, such as `-02:30`.
pub(super) fn zone(name: &str) -> Option<TimeZone> {
    let (sign, rest) = match name.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, name.strip_prefix('+').unwrap_or(name)),
    };
    match clock_seconds(rest) {
        Some(seconds) => {
            let offset = Offset::from_seconds(i32::try_from(seconds).ok()? * sign).ok()?;
            Some(TimeZone::fixed(offset))
        }
        None => TimeZone::get(name).ok(),
    }
}

impl fmt::Display for Time {
    /// RFC 3339 in UTC, with as many digits of a second as are needed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (civil, years) = self.civil(None);
        let (date, time) = (civil.date(), civil.time());
        write!(f, "{:04}-{:02}-{:02}T", date.year() + years, date.month(), date.day())?;
        write!(f, "{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second())?;
        let (mut fraction, mut digits) = (self.nanos, 9);
        while fraction != 0 && fraction % 10 == 0 {
            (fraction, digits) = (fraction / 10, digits - 1);
        }
        match fraction {
            0 => f.write_str("Z"),
            _ => write!(f, ".{fraction:0digits$}Z"),
        }
    }
}

/// A part of a point in time, as `getHours` and its like name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    FullYear,
    Month,
    Date,
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
}

/// The number of a part, as CEL counts it: months and days of the year from 0, Sunday is 0.
pub(super) fn part(time: Time, part: Part, zone: Option<&TimeZone>) -> i64 {
    let (civil, years) = time.civil(zone);
    match part {
        Part::FullYear => i64::from(civil.year() + years),
        Part::Month => i64::from(civil.month()) - 1,
        Part::Date => i64::from(civil.day()),
        Part::DayOfMonth => i64::from(civil.day()) - 1,
        Part::DayOfWeek => i64::from(civil.weekday().to_sunday_zero_offset()),
        Part::DayOfYear => i64::from(civil::DateTime::day_of_year(civil)) - 1,
        Part::Hours => civil.hour().into(),
        Part::Minutes => civil.minute().into(),
        Part::Seconds => civil.second().into(),
        Part::Milliseconds => i64::from(time.nanos / 1_000_000),
    }
}

/// Whole hours, minutes or seconds of a duration; of milliseconds those of the second.
pub(super) fn duration_part(nanos: i64, part: Part) -> Option<i64> {
    Some(match part {
        Part::Hours => nanos / 3_600_000_000_000,
        Part::Minutes => nanos / 60_000_000_000,
        Part::Seconds => nanos / 1_000_000_000,
        Part::Milliseconds => nanos / 1_000_000 % 1_000,
        _ => return None,
    })
}

/// Reads a duration such as `1h30m`, `-1.5s` or `100ms`, in nanoseconds.
pub(super) fn parse_duration(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut nanos = 0_i128;
    while !rest.is_empty() || nanos == 0 && rest.as_ptr() == text.as_ptr() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(end);
        let end = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(end);
        nanos = nanos.checked_add(scaled(number, unit)?)?;
        rest = behind;
    }
    i64::try_from(nanos * sign).ok()
}

fn scaled(number: &str, unit: &str) -> Option<i128> {
    let unit = match unit {
        "h" => 3_600_000_000_000,
        "m" => 60_000_000_000,
        "s" => 1_000_000_000,
        "ms" => 1_000_000,
        "us" | "µs" | "μs" => 1_000,
        "ns" => 1,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.len() + fraction.len() == 0 || fraction.contains('.') || number.len() > 30 {
        return None;
    }
    let digits = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<i128>().ok() };
    let fraction = fraction.get(..18).unwrap_or(fraction);
    let part = digits(fraction)? * unit / 10_i128.pow(fraction.len() as u32);
    digits(whole)?.checked_mul(unit)?.checked_add(part)
}

/// A duration as CEL writes it: seconds, `1.5s`.
pub(super) struct Seconds(pub(super) i64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, nanos) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        write!(f, "{sign}{}", nanos / 1_000_000_000)?;
        let (mut fraction, mut digits) = (nanos % 1_000_000_000, 9);
        while fraction != 0 && fraction % 10 == 0 {
            (fraction, digits) = (fraction / 10, digits - 1);
        }
        match fraction {
            0 => f.write_str("s"),
            _ => write!(f, ".{fraction:0digits$}s"),
        }
    }
}

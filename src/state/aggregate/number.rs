//! Sums, extremes and means, in cells of a fixed number of bytes.
//!
//! Integers are added exactly in 128 bits: two to the 63 of the largest would fit, more records
//! than a partition has offsets, so a sum of integers cannot overflow. Doubles are added with
//! Neumaier's compensation, which keeps what each addition rounds away. With the first double an
//! integer sum becomes one, and what its nearest double lacks is kept so, too. A double sum beyond
//! all doubles is null. Cells are small so that a key's window fits few cache lines.

use std::cmp::Ordering;

use super::super::input::write_double;

/// A number that can be added and compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::state) enum Number {
    /// Between the least `i64` and the greatest `u64`.
    Int(i128),
    /// Finite.
    Double(f64),
}

impl Number {
    pub(super) fn as_double(self) -> f64 {
        match self {
            Number::Int(number) => number as f64,
            Number::Double(number) => number,
        }
    }

    /// Exact, also between the types.
    fn compare(self, other: Number) -> Ordering {
        match (self, other) {
            (Number::Int(one), Number::Int(other)) => one.cmp(&other),
            (Number::Double(one), Number::Double(other)) => {
                one.partial_cmp(&other).expect("both are finite")
            }
            (Number::Int(one), Number::Double(other)) => compare_mixed(one, other),
            (Number::Double(one), Number::Int(other)) => compare_mixed(other, one).reverse(),
        }
    }

    fn write(self, json: &mut Vec<u8>) {
        match self {
            Number::Int(number) => {
                json.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
            }
            Number::Double(number) => write_double(number, json),
        }
    }
}

/// Beyond it every double is larger than every integer here; below it `trunc` fits.
const BEYOND: f64 = 1e30;

fn compare_mixed(integer: i128, double: f64) -> Ordering {
    if double >= BEYOND {
        return Ordering::Less;
    }
    if double <= -BEYOND {
        return Ordering::Greater;
    }
    let whole = double.trunc();
    let fraction = 0.0_f64.partial_cmp(&(double - whole)).expect("a double is finite");
    integer.cmp(&(whole as i128)).then(fraction)
}

fn read<const N: usize>(cell: &[u8], at: usize) -> [u8; N] {
    cell[at..at + N].try_into().expect("a cell has that many bytes")
}

fn read_double(cell: &[u8], at: usize) -> f64 {
    f64::from_le_bytes(read(cell, at))
}

/// A count of records.
pub(super) mod count {
    use super::read;

    pub(in crate::state::aggregate) const BYTES: usize = 8;

    #[inline]
    pub(in crate::state::aggregate) fn get(cell: &[u8]) -> u64 {
        u64::from_le_bytes(read(cell, 0))
    }

    #[inline]
    pub(in crate::state::aggregate) fn add(cell: &mut [u8], more: u64) {
        let sum = get(cell) + more;
        cell[..BYTES].copy_from_slice(&sum.to_le_bytes());
    }
}

/// An integer, or, once a double was added, a double and what rounding took from it.
pub(super) mod sum {
    use super::{Number, read, read_double};

    pub(in crate::state::aggregate) const BYTES: usize = 17;
    const LOST: usize = 8;
    const KIND: usize = 16;
    const NONE: u8 = 0;
    const INT: u8 = 1;
    const DOUBLE: u8 = 2;

    fn integer(cell: &[u8]) -> i128 {
        i128::from_le_bytes(read(cell, 0))
    }

    #[inline]
    pub(in crate::state::aggregate) fn add(cell: &mut [u8], number: Number) {
        match number {
            Number::Int(number) => add_integer(cell, number),
            Number::Double(number) => add_double(cell, number, 0.0),
        }
    }

    #[inline]
    fn add_integer(cell: &mut [u8], number: i128) {
        if cell[KIND] == DOUBLE {
            let (double, rest) = split(number);
            return add_double(cell, double, rest);
        }
        let sum = integer(cell).checked_add(number);
        let sum = sum.expect("2^63 integers of 64 bits fit into 128");
        cell[..KIND].copy_from_slice(&sum.to_le_bytes());
        cell[KIND] = INT;
    }

    #[inline(never)]
    fn add_double(cell: &mut [u8], number: f64, lost: f64) {
        let (before, lost_before) = match cell[KIND] {
            DOUBLE => (read_double(cell, 0), read_double(cell, LOST)),
            // Zero, if nothing was added.
            _ => split(integer(cell)),
        };
        let (sum, more) = plus(before, number);
        let lost = lost_before + lost + more;
        cell[..LOST].copy_from_slice(&sum.to_le_bytes());
        cell[LOST..KIND].copy_from_slice(&lost.to_le_bytes());
        cell[KIND] = DOUBLE;
    }

    /// The nearest double, and what it is too small by.
    fn split(number: i128) -> (f64, f64) {
        let double = number as f64;
        (double, (number - double as i128) as f64)
    }

    /// A sum, and what rounding took from it.
    fn plus(one: f64, other: f64) -> (f64, f64) {
        let sum = one + other;
        let (large, small) = if one.abs() >= other.abs() { (one, other) } else { (other, one) };
        (sum, (large - sum) + small)
    }

    pub(in crate::state::aggregate) fn merge(cell: &mut [u8], other: &[u8]) {
        match other[KIND] {
            NONE => {}
            INT => add_integer(cell, integer(other)),
            _ => add_double(cell, read_double(other, 0), read_double(other, LOST)),
        }
    }

    /// `None` if nothing was added.
    pub(in crate::state::aggregate) fn get(cell: &[u8]) -> Option<Number> {
        match cell[KIND] {
            NONE => None,
            INT => Some(Number::Int(integer(cell))),
            _ => Some(Number::Double(read_double(cell, 0) + read_double(cell, LOST))),
        }
    }

    pub(in crate::state::aggregate) fn write(cell: &[u8], json: &mut Vec<u8>) {
        match get(cell) {
            Some(sum) => sum.write(json),
            None => json.extend_from_slice(b"null"),
        }
    }
}

/// A sum and a count.
pub(super) mod mean {
    use super::{Number, count, sum, write_double};

    pub(in crate::state::aggregate) const BYTES: usize = sum::BYTES + count::BYTES;

    #[inline]
    pub(in crate::state::aggregate) fn add(cell: &mut [u8], number: Number) {
        sum::add(cell, number);
        count::add(&mut cell[sum::BYTES..], 1);
    }

    pub(in crate::state::aggregate) fn merge(cell: &mut [u8], other: &[u8]) {
        sum::merge(cell, other);
        count::add(&mut cell[sum::BYTES..], count::get(&other[sum::BYTES..]));
    }

    pub(in crate::state::aggregate) fn write(cell: &[u8], json: &mut Vec<u8>) {
        match sum::get(cell) {
            Some(sum) => {
                write_double(sum.as_double() / count::get(&cell[sum::BYTES..]) as f64, json);
            }
            None => json.extend_from_slice(b"null"),
        }
    }
}

/// The least or the greatest so far; of equal ones the first.
pub(super) mod extreme {
    use std::cmp::Ordering;

    use super::{Number, read, read_double};

    pub(in crate::state::aggregate) const BYTES: usize = 9;
    const KIND: usize = 8;
    const NONE: u8 = 0;
    const SIGNED: u8 = 1;
    const UNSIGNED: u8 = 2;
    const DOUBLE: u8 = 3;

    #[inline]
    fn get(cell: &[u8]) -> Option<Number> {
        match cell[KIND] {
            NONE => None,
            SIGNED => Some(Number::Int(i64::from_le_bytes(read(cell, 0)).into())),
            UNSIGNED => Some(Number::Int(u64::from_le_bytes(read(cell, 0)).into())),
            _ => Some(Number::Double(read_double(cell, 0))),
        }
    }

    #[inline]
    pub(in crate::state::aggregate) fn add(cell: &mut [u8], number: Number, wanted: Ordering) {
        if get(cell).is_some_and(|it| number.compare(it) != wanted) {
            return;
        }
        let (bytes, kind) = match number {
            Number::Int(number) => match i64::try_from(number) {
                Ok(number) => (number.to_le_bytes(), SIGNED),
                // Its lower half is all there is of it.
                Err(_) => ((number as u64).to_le_bytes(), UNSIGNED),
            },
            Number::Double(number) => (number.to_le_bytes(), DOUBLE),
        };
        cell[..KIND].copy_from_slice(&bytes);
        cell[KIND] = kind;
    }

    pub(in crate::state::aggregate) fn merge(cell: &mut [u8], other: &[u8], wanted: Ordering) {
        if let Some(number) = get(other) {
            add(cell, number, wanted);
        }
    }

    pub(in crate::state::aggregate) fn write(cell: &[u8], json: &mut Vec<u8>) {
        match get(cell) {
            Some(number) => number.write(json),
            None => json.extend_from_slice(b"null"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut json = Vec::new();
        write(&mut json);
        String::from_utf8(json).unwrap()
    }

    fn sum_of(numbers: &[Number]) -> String {
        let mut cell = [0; sum::BYTES];
        numbers.iter().for_each(|it| sum::add(&mut cell, *it));
        text(|json| sum::write(&cell, json))
    }

    #[test]
    fn integers_are_added_exactly_also_past_64_bits() {
        assert_eq!(sum_of(&[]), "null");
        let most = Number::Int(i128::from(u64::MAX));
        assert_eq!(sum_of(&[most, most, Number::Int(1)]), "36893488147419103231");
        assert_eq!(sum_of(&[Number::Int(1 << 53), Number::Int(1)]), "9007199254740993");
    }

    #[test]
    fn doubles_are_added_with_what_rounding_takes_away() {
        let numbers = [1.0, 1e100, 1.0, -1e100].map(Number::Double);
        assert_eq!(sum_of(&numbers), "2.0");
        assert_eq!(sum_of(&[Number::Int(1), Number::Double(0.5)]), "1.5");
        assert_eq!(sum_of(&[Number::Double(f64::MAX), Number::Double(f64::MAX)]), "null");
        let tenths = [Number::Double(0.1); 10];
        assert_eq!(sum_of(&tenths), "1.0");
    }

    #[test]
    fn what_a_double_has_no_digits_for_is_kept_when_a_sum_of_integers_becomes_one() {
        let odd = Number::Int((1 << 53) + 1);
        assert_eq!(sum_of(&[odd, Number::Double(0.5)]), "9007199254740994.0");
        assert_eq!(sum_of(&[Number::Double(0.5), odd]), "9007199254740994.0");
        let (mut one, mut other) = ([0; sum::BYTES], [0; sum::BYTES]);
        sum::add(&mut one, Number::Double(0.5));
        sum::add(&mut other, odd);
        sum::merge(&mut one, &other);
        assert_eq!(text(|json| sum::write(&one, json)), "9007199254740994.0");
    }

    #[test]
    fn parts_of_a_sum_make_the_whole() {
        let (mut one, mut other) = ([0; mean::BYTES], [0; mean::BYTES]);
        [1.0, 1e100].iter().for_each(|it| mean::add(&mut one, Number::Double(*it)));
        [1.0, -1e100].iter().for_each(|it| mean::add(&mut other, Number::Double(*it)));
        mean::add(&mut other, Number::Int(2));
        mean::merge(&mut one, &other);
        assert_eq!(text(|json| sum::write(&one, json)), "4.0");
        assert_eq!(text(|json| mean::write(&one, json)), "0.8");
    }

    #[test]
    fn numbers_of_both_types_are_compared_exactly() {
        let cases = [
            ((1 << 53) + 1, 9007199254740992.0, Ordering::Greater),
            (-1, -1.5, Ordering::Greater),
            (0, -0.0, Ordering::Equal),
            (i128::from(u64::MAX), 18446744073709551616.0, Ordering::Less),
            (3, 1e300, Ordering::Less),
            (3, -1e300, Ordering::Greater),
        ];
        for (integer, double, ordering) in cases {
            let (integer, double) = (Number::Int(integer), Number::Double(double));
            assert_eq!(integer.compare(double), ordering, "{integer:?} {double:?}");
            assert_eq!(double.compare(integer), ordering.reverse());
        }
    }

    #[test]
    fn of_equal_extremes_the_first_stays() {
        let one = |numbers: &[Number], wanted| {
            let mut cell = [0; extreme::BYTES];
            numbers.iter().for_each(|it| extreme::add(&mut cell, *it, wanted));
            text(|json| extreme::write(&cell, json))
        };
        let least = |numbers: &[Number]| one(numbers, Ordering::Less);
        let ends = [i64::MIN.into(), u64::MAX.into(), 0].map(Number::Int);
        assert_eq!(least(&ends), i64::MIN.to_string());
        assert_eq!(one(&ends, Ordering::Greater), u64::MAX.to_string());
        assert_eq!(least(&[]), "null");
        assert_eq!(least(&[Number::Int(3), Number::Double(3.0), Number::Int(4)]), "3");
        assert_eq!(least(&[Number::Double(-1.5), Number::Int(-1), Number::Int(-2)]), "-2");
    }
}

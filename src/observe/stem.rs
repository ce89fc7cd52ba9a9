//! The common beginning of a run's file names: which pipeline, which process, when it started.

use jiff::Timestamp;

/// `<name>-<instance>-<start as 20261121T053700.123Z>`, fit for a file name.
pub fn stem(name: &str, instance: &str, start_epoch_nanos: i64) -> String {
    let start = Timestamp::from_nanosecond(i128::from(start_epoch_nanos)).unwrap_or_default();
    format!("{}-{}-{}", tame(name), tame(instance), start.strftime("%Y%m%dT%H%M%S%.3fZ"))
}

/// Only what every file system, shell and URL takes; the rest becomes an underscore.
fn tame(text: &str) -> String {
    let keep = |it: char| it.is_ascii_alphanumeric() || matches!(it, '.' | '_' | '-');
    text.chars().map(|it| if keep(it) { it } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stem_is_a_safe_file_name() {
        let nanos = 1_795_239_420_123_456_789;
        assert_eq!(
            stem("orders", "../web 1/ü:42", nanos),
            "orders-.._web_1___42-20261121T053700.123Z"
        );
        assert_eq!(stem("a", "0", 0), "a-0-19700101T000000.000Z");
    }
}

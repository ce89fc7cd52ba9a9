//! How much of a long test is run: a fixed slice, or all of it, as `scripts/test --all` wants it.

/// Set to 1, every test runs in its long form.
const ALL_VARIABLE: &str = "HOTSPUR_ALL";

/// Whether long tests run whole.
pub(crate) fn is_whole() -> bool {
    std::env::var(ALL_VARIABLE).is_ok_and(|it| it == "1")
}

/// One of two sizes of a test.
pub(crate) fn choose<T>(slice: T, whole: T) -> T {
    if is_whole() { whole } else { slice }
}

//! The middle of several figures: what a noisy machine leaves to compare.

/// The median; of an even number the mean of the middle two.
///
/// # Panics
///
/// If there is no figure.
pub(crate) fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    assert!(!figures.is_empty(), "a median needs a figure");
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    if figures.len() % 2 == 1 {
        figures[middle]
    } else {
        (figures[middle - 1] + figures[middle]) / 2.0
    }
}

/// The figure below which that share of them lies; the nearest one, none is made up.
///
/// # Panics
///
/// If there is no figure.
#[allow(dead_code, reason = "each bench takes what it needs")]
pub(crate) fn quantile(figures: &[f64], share: f64) -> f64 {
    let mut figures = figures.to_vec();
    figures.sort_by(f64::total_cmp);
    figures[((figures.len() - 1) as f64 * share).round() as usize]
}

//! Pages and what they are made of: style, charts, scripts; embedded, so that nothing is fetched.
//!
//! `vendor/uplot` is uPlot 1.6.32 (MIT, its licence beside it) as npm has it, unchanged. The rest
//! is ours. Everything works in a file without a network, in light, in dark and on paper.

pub(in crate::observe) mod markup;

/// The page of a report, with holes.
pub const REPORT: &str = include_str!("report.html");

/// The live page, with holes.
pub const LIVE: &str = include_str!("live.html");

/// What the live page draws and tells.
pub const LIVE_SCRIPT: &str = include_str!("live.js");

/// The look of all pages.
pub const STYLE: &str = include_str!("style.css");

/// Charts for all pages: time axes, nines, legends, heat.
pub const CHARTS: &str = include_str!("charts.js");

/// What a report draws.
pub const REPORT_SCRIPT: &str = include_str!("report.js");

/// uPlot, which draws.
pub const UPLOT: &str = include_str!("vendor/uplot/uPlot.iife.min.js");

/// Its style.
pub const UPLOT_STYLE: &str = include_str!("vendor/uplot/uPlot.min.css");

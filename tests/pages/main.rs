//! The pages in a real Chromium without a screen: loaded, used, photographed.
//!
//! What is checked: no error on the console, no request leaving the page, charts that are
//! there and not blank, legends and keys that work, light, dark, paper and a phone's width. The
//! pictures land in the folder that `HOTSPUR_PICTURES` names, if it does.

#[path = "../support/histogram_logs.rs"]
mod histogram_logs;

mod browser;
mod graph;
mod live;
mod report;

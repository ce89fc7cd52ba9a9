//! The page: one HTML file with everything in it, which asks the network for nothing.
//!
//! All tables are plain HTML, so that it can be read, printed and searched without a script; the
//! charts show the same numbers and are drawn by uPlot from the data at the end of the page. Its
//! security policy forbids every request.

mod first;
mod sections;

use crate::observe::{
    report::{Report, curves, shown_time},
    web::{
        self,
        markup::{escaped, fill},
    },
};

pub(super) fn html(report: &Report) -> String {
    let data = curves::data(report).to_string().replace("</", "<\\/");
    let title = escaped(&report.title());
    let parts = [
        ("title", title.as_str()),
        ("style", web::STYLE),
        ("uplot-style", web::UPLOT_STYLE),
        ("subtitle", &subtitle(report)),
        ("first", &first::first(report)),
        ("comparison", &sections::comparison(report)),
        ("percentiles", &sections::percentiles(report)),
        ("columns", &sections::columns(report)),
        ("stages", &sections::stages(report)),
        ("slow", &sections::slow(report)),
        ("facts", &sections::facts(report)),
        ("version", env!("CARGO_PKG_VERSION")),
        ("data", &data),
        ("uplot", web::UPLOT),
        ("charts", web::CHARTS),
        ("script", web::REPORT_SCRIPT),
    ];
    fill(web::REPORT, &parts)
}

/// When, where, and how it was set up: what tells one report from another.
fn subtitle(report: &Report) -> String {
    let run = &report.now;
    let mut parts = vec![shown_time(run.start), format!("{:.1} s", run.covered.as_secs_f64())];
    let named = [("host", "on "), ("profile", "profile "), ("core", "core "), ("guarantee", "")];
    for (name, before) in named {
        let values = run.fact(name);
        if !values.is_empty() {
            parts.push(format!("{before}{}", values.join(", ")));
        }
    }
    match run.files.len() {
        1 => {}
        files => parts.push(format!("{files} files merged")),
    }
    parts.iter().map(|it| escaped(it)).collect::<Vec<_>>().join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_no_address_but_that_of_a_licence() {
        let report = [web::REPORT, web::REPORT_SCRIPT];
        let all = [web::STYLE, web::UPLOT_STYLE, web::CHARTS, web::LIVE, web::LIVE_SCRIPT];
        for text in report.into_iter().chain(all) {
            assert!(!text.contains("http://") && !text.contains("https://"), "{text}");
        }
        assert!(web::UPLOT.lines().next().is_some_and(|it| it.contains("v1.6.32")));
        assert!(!web::UPLOT.contains("</script"));
    }
}

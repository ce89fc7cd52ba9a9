//! How cases went, as JUnit XML: a suite a file, a test case a case.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{Entry, text};

/// The document.
pub(super) fn report(entries: &[Entry<'_>]) -> Result<String, String> {
    let mut report = Report::new("hotspur test");
    for entries in entries.chunk_by(|one, other| one.file == other.file) {
        let Some(first) = entries.first() else { continue };
        let file = first.file.display().to_string();
        let mut suite = TestSuite::new(&*file);
        suite.add_test_cases(entries.iter().map(|entry| test_case(entry, &file)));
        report.add_test_suite(suite);
    }
    report.to_string().map_err(|error| error.to_string())
}

fn test_case(entry: &Entry<'_>, file: &str) -> TestCase {
    let status = match entry.tried.is_passed() || entry.is_blessed {
        true => TestCaseStatus::success(),
        false => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            let parts: Vec<&str> =
                entry.tried.differences.iter().map(|it| it.what.as_str()).collect();
            status.set_message(format!("otherwise than expected: {}", parts.join("; ")));
            status.set_description(text::plain_details(entry));
            status
        }
    };
    let mut case = TestCase::new(entry.name, status);
    case.set_classname(file);
    case.extra.insert("file".into(), file.into());
    case.extra.insert("line".into(), entry.line.to_string().into());
    case
}

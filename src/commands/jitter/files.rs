//! What `--out` leaves of each core: percentiles of its stalls, and a log of them by second.
//!
//! All is written after the end: a disk that works meanwhile would be measured, too.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use super::result::{CoreResult, JitterResult};
use crate::{
    commands::Failure,
    host::jitter::Stalls,
    observe::{distribution, log_file::LogFile, stem::stem},
};

/// What the lines of the log without a tag are.
const UNTAGGED: &str = "stalls";

/// Makes the folder, so that one that cannot be is told before anything is measured.
pub(super) fn make_folder(folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(|error| {
        let shown = folder.display();
        Failure::usage(format!("--out: the folder {shown} cannot be made: {error}"))
    })
}

/// Writes the files and names them in the result.
pub(super) fn write(folder: &Path, result: &mut JitterResult) -> Result<(), Failure> {
    let host = format!("jitter-{}", result.host());
    for core in &result.cores {
        let core_name = format!("core{}", core.record.core);
        let stem = stem(&host, &core_name, i64::try_from(result.started).unwrap_or(i64::MAX));
        let in_folder = |extension: &str| folder.join(format!("{stem}.{extension}"));
        let (percentiles, log) = (in_folder("hgrm"), in_folder("hlog"));
        distribution::write_file(&percentiles, &core.record.stalls.histogram)
            .map_err(unwritten(&percentiles))?;
        write_log(&log, core, result).map_err(unwritten(&log))?;
        result.files.extend([percentiles, log]);
    }
    Ok(())
}

fn unwritten(path: &Path) -> impl FnOnce(io::Error) -> Failure + use<> {
    let shown: PathBuf = path.to_owned();
    move |error| Failure::unavailable(format!("{} cannot be written: {error}", shown.display()))
}

fn write_log(path: &Path, core: &CoreResult, result: &JitterResult) -> io::Result<()> {
    let mut about = concat!("hotspur jitter ", env!("CARGO_PKG_VERSION")).to_owned();
    let own = [("clock", result.clock.clone()), ("core", core.record.core.to_string())];
    for (name, value) in own.iter().chain(&result.facts) {
        about.push_str(&format!("\n{name}: {value}"));
    }
    let started = UNIX_EPOCH + Duration::from_nanos(result.started);
    let mut log = LogFile::create_of(path, started, &about, UNTAGGED)?;
    let mut histogram = Stalls::new().histogram;
    for second in &core.record.seconds {
        histogram.clear();
        for (value, count) in &second.values {
            histogram.saturating_record_n(*value, *count);
        }
        let since_start = Duration::from_nanos(second.since_start_ns);
        let length = Duration::from_nanos(second.length_ns);
        log.append_tagged(&[(None, &histogram)], since_start, length)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{super::tests::result, *};
    use crate::observe::log_reader::Log;

    #[test]
    fn percentiles_and_log_of_a_core_have_the_same_stalls() {
        let folder = tempfile::tempdir().unwrap();
        let mut result = result(&[0, 1]);
        write(folder.path(), &mut result).unwrap();
        let names: Vec<_> = result
            .files
            .iter()
            .map(|it| it.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        let expected = ["core0", "core1"].map(|core| {
            let stem = format!("jitter-web1-{core}-20261121T053700.123Z");
            [format!("{stem}.hgrm"), format!("{stem}.hlog")]
        });
        assert_eq!(names, expected.concat());
        let percentiles = fs::read_to_string(&result.files[0]).unwrap();
        assert!(percentiles.contains("Total count    =          350]"), "{percentiles}");
        assert!(percentiles.ends_with("#[Unit: us]\n"), "{percentiles}");
        let log = Log::read(&result.files[1]).unwrap();
        assert!(log.facts.contains(&("core".to_owned(), "0".to_owned())), "{:?}", log.facts);
        let lines: Vec<_> = log.lines.iter().map(|it| it.span.as_str()).collect();
        assert_eq!(lines, ["stalls"]);
        let read = log.histogram(&log.lines[0]).unwrap();
        assert_eq!(read, result.cores[0].record.stalls.histogram);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_bad_usage() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let failure = make_folder(&file.join("inner")).unwrap_err();
        assert!(failure.message.starts_with("--out: the folder "), "{failure:?}");
    }
}

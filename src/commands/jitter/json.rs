//! The result for programs: the same figures, and all seconds.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{
    result::{CoreResult, JitterResult},
    verdict::of_second,
};
use crate::host::jitter::{Happenings, SecondRecord, Shares};

/// The object.
pub(super) fn of(result: &JitterResult) -> Value {
    let shown = |path: &PathBuf| path.display().to_string();
    json!({
        "v": 1,
        "version": env!("CARGO_PKG_VERSION"),
        "host": result.host(),
        "clock": result.clock,
        "started_ns": result.started,
        "threshold_ns": result.threshold.as_nanos() as u64,
        "for_ns": result.duration.as_nanos() as u64,
        "cut": result.is_cut,
        "cores": result.cores.iter().map(core).collect::<Vec<_>>(),
        "best": result.best().map(|it| it.record.core),
        "notes": result.notes,
        "files": result.files.iter().map(shown).collect::<Vec<_>>(),
    })
}

fn core(core: &CoreResult) -> Value {
    let record = &core.record;
    let (stalls, turns) = (&record.stalls, &record.turns);
    let at = |quantile| stalls.histogram.value_at_quantile(quantile);
    let classes = stalls.classes().map(|(from_ns, below_ns, count, lost_ns)| {
        json!({ "from_ns": from_ns, "below_ns": below_ns, "count": count, "lost_ns": lost_ns })
    });
    json!({
        "core": record.core,
        "isolated": core.is_isolated,
        "measured_ns": record.measured_ns,
        "turns": {
            "count": turns.len(),
            "p50_ns": turns.value_at_quantile(0.5),
            "p99_ns": turns.value_at_quantile(0.99),
            "p99_9_ns": turns.value_at_quantile(0.999),
        },
        "stalls": {
            "count": stalls.count(),
            "per_second": core.per_second(stalls.count()),
            "lost_ns": stalls.lost_ns(),
            "lost_share": core.lost_share(),
            "p50_ns": at(0.5),
            "p90_ns": at(0.9),
            "p99_ns": at(0.99),
            "p99_9_ns": at(0.999),
            "worst_ns": stalls.worst_ns(),
            "classes": classes.collect::<Vec<_>>(),
        },
        "lost_to": lost_to(&record.shares),
        "meanwhile": meanwhile(&record.happenings),
        "cause": core.verdict.cause.name(),
        "verdict": core.verdict.sentence,
        "remedy": core.verdict.remedy,
        "seconds": record.seconds.iter().map(second).collect::<Vec<_>>(),
    })
}

fn second(second: &SecondRecord) -> Value {
    json!({
        "since_start_ns": second.since_start_ns,
        "length_ns": second.length_ns,
        "count": second.count,
        "lost_ns": second.shares.lost_ns,
        "worst_ns": second.worst_ns,
        "lost_to": lost_to(&second.shares),
        "meanwhile": meanwhile(&second.happenings),
        "said": of_second(second),
    })
}

fn lost_to(shares: &Shares) -> Value {
    json!({
        "threads_ns": shares.threads_ns,
        "throttled_ns": shares.throttled_ns,
        "steal_ns": shares.steal_ns,
        "interrupts_ns": shares.interrupts_ns,
        "unexplained_ns": shares.unexplained_ns,
    })
}

fn meanwhile(happenings: &Happenings) -> Value {
    let interrupts = happenings.ranked_interrupts().into_iter().map(|(line, count)| {
        let (label, kind) = (&line.label, line.kind.name());
        json!({ "line": label, "name": line.name, "kind": kind, "count": count })
    });
    let soft = happenings.soft_interrupts.iter().map(|(line, count)| {
        let name = line.label.clone();
        (name, Value::from(*count))
    });
    let neighbours = happenings.neighbours.iter().map(|it| {
        json!({
            "pid": it.pid,
            "comm": it.name,
            "kernel": it.is_kernel,
            "ran_ns": it.ran_ns,
        })
    });
    json!({
        "neighbours": neighbours.collect::<Vec<_>>(),
        "interrupts": interrupts.collect::<Vec<_>>(),
        "soft_interrupts": soft.collect::<serde_json::Map<_, _>>(),
        "steal_ns": happenings.steal_ns,
        "throttled_ns": happenings.throttled_ns,
        "waited_ns": happenings.waited_ns,
        "voluntary_switches": happenings.voluntary_switches,
        "involuntary_switches": happenings.involuntary_switches,
        "minor_faults": happenings.minor_faults,
        "major_faults": happenings.major_faults,
    })
}

#[cfg(test)]
mod tests {
    use super::{super::tests::result, *};

    #[test]
    fn the_object_has_the_figures_of_the_text() {
        let value = of(&result(&[0, 1]));
        let core = &value["cores"][1];
        assert_eq!(core["core"], 1);
        assert_eq!(core["stalls"]["count"], 350);
        assert_eq!(core["stalls"]["lost_ns"], 300_375_000_u64);
        let sizes = core["stalls"]["classes"].as_array().unwrap();
        let counts: u64 = sizes.iter().map(|it| it["count"].as_u64().unwrap()).sum();
        assert_eq!((sizes.len(), counts), (14, 350));
        assert_eq!(core["meanwhile"]["neighbours"][0]["comm"], "stress");
        assert_eq!(core["meanwhile"]["neighbours"][0]["pid"], 123);
        assert_eq!(core["meanwhile"]["interrupts"][0]["kind"], "timer");
        assert_eq!((&core["cause"], &value["best"]), (&"threads".into(), &0.into()));
        let said = core["seconds"][0]["said"].as_str().unwrap();
        assert!(said.starts_with("stalls lost 300 ms of 1.00 s: `stress` (process 123)"), "{said}");
    }
}

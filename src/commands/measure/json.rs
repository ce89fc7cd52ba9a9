//! The result for programs, and the schema that describes it.
//!
//! Both stand in one file, field beside field, and a test holds one against the other.

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

use super::{
    books::Books,
    level::{Level, Measurement},
    ramp,
    verdict::{Found, Judged},
};

/// The percentiles of each span: field and quantile.
const QUANTILES: [(&str, f64); 5] = [
    ("p50_ns", 0.5),
    ("p90_ns", 0.9),
    ("p99_ns", 0.99),
    ("p99_9_ns", 0.999),
    ("p99_99_ns", 0.9999),
];

/// The object.
pub(super) fn of(measurement: &Measurement) -> Value {
    let about = &measurement.about;
    let shortfalls = measurement.shortfalls();
    let lowest = &measurement.levels[0];
    let level = |it: &Level| level(it, lowest, measurement.is_ramp);
    json!({
        "v": 1,
        "version": env!("CARGO_PKG_VERSION"),
        "passed": shortfalls.is_empty(),
        "shortfalls": shortfalls,
        "name": about.name,
        "instance": about.instance,
        "profile": about.profile,
        "guarantee": about.guarantee,
        "external": about.is_external,
        "core": about.core,
        "source": about.source,
        "sink": about.sink,
        "payload": about.payload,
        "keys": about.keys,
        "warmup_ns": about.warmup.as_nanos() as u64,
        "levels": measurement.levels.iter().map(level).collect::<Vec<_>>(),
        "knee": measurement.knee.map(|it| measurement.levels[it].rate),
        "requirements": measurement.judged.iter().map(judged).collect::<Vec<_>>(),
        "notes": measurement.notes,
        "files": measurement.files.iter().map(|it| it.display().to_string()).collect::<Vec<_>>(),
    })
}

fn level(level: &Level, lowest: &Level, is_ramp: bool) -> Value {
    let (report, arrivals) = (&level.heard.report, level.arrivals());
    let (first_due, last_due) = level.due();
    let mut spans = Map::new();
    spans.insert("hop".to_owned(), span(&level.hop.arrivals.latency));
    for (name, histogram) in level.spans.iter().filter(|(_, it)| !it.is_empty()) {
        spans.insert(name.to_string(), span(histogram));
    }
    spans.insert("received".to_owned(), span(&arrivals.latency));
    json!({
        "rate": level.rate,
        "for_ns": level.length.as_nanos() as u64,
        "hop_for_ns": level.hop_length.as_nanos() as u64,
        "achieved": level.achieved(),
        "rate_missed": level.why_missed(),
        "past_knee": if is_ramp { ramp::why_failed(level, lowest) } else { None },
        "due": level.count(),
        "first_due_ns": first_due,
        "last_due_ns": last_due,
        "sent": report.sent,
        "acknowledged": report.acknowledged,
        "refused": report.failed,
        "missed_slots": report.missed_slots,
        "hop_missed_slots": level.hop.report.missed_slots,
        "received": arrivals.received,
        "lost": level.lost(),
        "duplicates": arrivals.duplicates,
        "reordered": arrivals.reordered,
        "strangers": arrivals.strangers,
        "books": level.books.as_ref().map(books),
        "spans": spans,
    })
}

fn span(histogram: &Histogram<u64>) -> Value {
    let mut object = json!({
        "count": histogram.len(),
        "min_ns": histogram.min(),
        "mean_ns": histogram.mean(),
        "max_ns": histogram.max(),
    });
    for (name, quantile) in QUANTILES {
        object[name] = histogram.value_at_quantile(quantile).into();
    }
    object
}

fn books(books: &Books) -> Value {
    json!({
        "polled": books.polled,
        "emitted": books.emitted,
        "skipped": books.skipped,
        "rejected": books.rejected,
        "held": books.held,
    })
}

fn judged(judged: &Judged) -> Value {
    let (latency, number) = match judged.found {
        Found::Latency(nanos) => (Some(nanos), None),
        Found::Number(number) => (None, Some(number)),
        Found::Nothing => (None, None),
    };
    json!({
        "require": judged.requirement.text,
        "holds": judged.holds,
        "found_ns": latency,
        "found": number,
        "rate": judged.rate,
    })
}

/// The JSON Schema of what `measure --json` prints.
pub fn schema() -> Value {
    let mut root = object(json!({
        "v": { "const": 1 },
        "version": text("Of the program."),
        "passed": { "type": "boolean", "description": "Whether the status is 0." },
        "shortfalls": texts("Why it is not: missed rates and failed requirements."),
        "name": text("Of the pipeline."),
        "instance": text("Of the process that measured."),
        "profile": text("The tuning profile."),
        "guarantee": text("delivery.guarantee."),
        "external": { "type": "boolean", "description": "The pipeline ran in another process." },
        "core": or_null(text("The hot core of a pipeline in this process, or none.")),
        "source": text("The topic that the load went to."),
        "sink": text("The topic that was listened to."),
        "payload": text("What the records were."),
        "keys": count("How many different keys."),
        "warmup_ns": count("Load before each rate that does not count, in nanoseconds."),
        "levels": list(level_schema()),
        "knee": or_null(count("The rate of a ramp's knee.")),
        "requirements": list(requirement_schema()),
        "notes": texts("What makes figures doubtful."),
        "files": texts("What was written to --out."),
    }));
    root["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    root["title"] = "The result of hotspur measure".into();
    root
}

fn level_schema() -> Value {
    let classes = |text: &str| {
        json!({
            "type": "object",
            "description": text,
            "additionalProperties": { "type": "integer", "minimum": 0 },
        })
    };
    let mut span = json!({
        "count": count("Values."),
        "min_ns": count("The least."),
        "mean_ns": number("The mean."),
        "max_ns": count("The largest."),
    });
    for (name, quantile) in QUANTILES {
        span[name] = count(&format!("The value that {quantile} of all are not above."));
    }
    let books = object(json!({
        "polled": count("Records that the pipeline took."),
        "emitted": count("Of which all results were acknowledged."),
        "skipped": classes("Passed over, by class."),
        "rejected": classes("Dead-lettered, by class."),
        "held": count("Live on in the state of a step."),
    }));
    object(json!({
        "rate": count("Records per second that were asked for."),
        "for_ns": count("How long, in nanoseconds."),
        "hop_for_ns": count("How long the bare hop was measured, in nanoseconds."),
        "achieved": number("Records per second that came through."),
        "rate_missed": or_null(text("Why the rate counts as missed.")),
        "past_knee": or_null(text("Why a level of a ramp is no knee.")),
        "due": count("Records that were due."),
        "first_due_ns": count("The stamp hotspur.due of the first of them: ns since the epoch."),
        "last_due_ns": count("The stamp of the last."),
        "sent": count("Handed over to the producer."),
        "acknowledged": count("Acknowledged by the source topic."),
        "refused": count("Refused by it."),
        "missed_slots": count("Handed over more than 10 ms after they were due."),
        "hop_missed_slots": count("The same of the bare hop."),
        "received": count("Records of which a result came."),
        "lost": count("Acknowledged, without a result, and not skipped, held or dead-lettered."),
        "duplicates": count("Results that came again."),
        "reordered": count("Results that came behind a later one of their key and partition."),
        "strangers": count("Records in the sink topic that are not of this load."),
        "books": or_null(books),
        "spans": {
            "type": "object",
            "description": "Latencies: hop, received, and of a pipeline in this process its own.",
            "required": ["hop", "received"],
            "additionalProperties": object(span),
        },
    }))
}

fn requirement_schema() -> Value {
    object(json!({
        "require": text("As it was written."),
        "holds": { "type": "boolean" },
        "found_ns": or_null(count("The latency that was found.")),
        "found": or_null(count("The count, or the records per second, that were found.")),
        "rate": or_null(count("Of a ramp: the rate at which it is worst.")),
    }))
}

/// An object that has all of these and nothing else.
fn object(properties: Value) -> Value {
    let names: Vec<String> =
        properties.as_object().into_iter().flat_map(Map::keys).cloned().collect();
    json!({
        "type": "object",
        "required": names,
        "additionalProperties": false,
        "properties": properties,
    })
}

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn texts(description: &str) -> Value {
    json!({ "type": "array", "items": { "type": "string" }, "description": description })
}

fn count(description: &str) -> Value {
    json!({ "type": "integer", "minimum": 0, "description": description })
}

fn number(description: &str) -> Value {
    json!({ "type": "number", "minimum": 0, "description": description })
}

fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

fn or_null(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

#[cfg(test)]
mod tests {
    use super::{
        super::{level::tests::level, verdict::tests::measurement},
        *,
    };

    /// Every field that the schema names is there, and no other, all the way down.
    fn assert_same_fields(value: &Value, schema: &Value, place: &str) {
        let schema = match schema["anyOf"].as_array() {
            Some(_) if value.is_null() => return,
            Some(choices) => &choices[0],
            None => schema,
        };
        if let (Some(object), Some(properties)) =
            (value.as_object(), schema["properties"].as_object())
        {
            let [mut ours, mut theirs] =
                [object, properties].map(|it| it.keys().cloned().collect::<Vec<_>>());
            ours.sort();
            theirs.sort();
            assert_eq!(ours, theirs, "at {place}");
            for (name, inner) in object {
                assert_same_fields(inner, &properties[name], &format!("{place}.{name}"));
            }
        }
        for inner in value.as_array().into_iter().flatten() {
            assert_same_fields(inner, &schema["items"], &format!("{place}[]"));
        }
    }

    #[test]
    fn the_schema_names_the_fields_that_there_are() {
        let mut levels = vec![level(1_000, 1_500), level(2_000, 500_000)];
        levels[1].books = Some(Books::default());
        let measured = measurement(levels, &["loss = 0", "received.p99 < 1us", "held.max < 1s"]);
        let value = of(&measured);
        assert_same_fields(&value, &schema(), "$");
        assert_eq!((&value["passed"], &value["knee"]), (&false.into(), &1_000.into()));
        assert_eq!(value["levels"][0]["spans"]["received"]["p99_ns"], 1_500);
        assert_eq!(value["requirements"][1]["found_ns"], 1_500);
    }
}

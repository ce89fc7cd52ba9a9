//! Operators that tests bring along: the one of the crate's documentation, and those that show one
//! thing each.

use std::{
    hint,
    time::{Duration, Instant},
};

use hotspur::operator::{
    Answer, Call, Expression, Given, Keys, Operator, Path, Refusal, Registry, RejectClass,
    SkipClass, Table, Value,
};

/// Makes all of them known.
pub(crate) fn register(steps: &mut Registry) {
    steps.register("geo", |keys| {
        let (lat, lon) = (keys.expression("lat"), keys.expression("lon"));
        let (into, degrees) = (keys.path("into"), keys.number_or("degrees", 1.0));
        move |given| match given.number(degrees) {
            it if it > 0.0 => Ok(Geo { lat, lon, into, degrees: it }),
            other => Err(degrees.refuse(format!("{other} is no size of a square"))),
        }
    });
    steps.register("tier", tier);
    steps.register("show", |keys| {
        let (of, into) = (keys.expression("of"), keys.path("into"));
        move |_| Ok(Show { of, into })
    });
    steps.register("dawdle", |keys| {
        let ms = keys.number("ms");
        move |given| Ok(Dawdle(Duration::from_secs_f64(given.number(ms) / 1e3)))
    });
    steps.register("count", |keys| {
        let (into, also) = (keys.path("into"), keys.path_if_any("also"));
        let by = keys.expression_or("by", "1");
        move |_| Ok(Count { into, also, by, count: 0 })
    });
    steps.register("verdict", |keys| {
        let (of, strict) = (keys.expression("of"), keys.flag("strict"));
        let word = keys.text("word");
        move |given| match given.text(word) {
            "" => Err("no word ends a record".into()),
            word => Ok(Judge { of, word: word.to_owned(), is_strict: given.flag(strict) }),
        }
    });
}

/// Which square of a grid a position lies in.
struct Geo {
    lat: Expression,
    lon: Expression,
    into: Path,
    degrees: f64,
}

impl Operator for Geo {
    fn apply(&mut self, call: &mut Call<'_>) -> Answer {
        let (lat, lon) = (call.number(self.lat)?, call.number(self.lon)?);
        if lat.abs() > 90.0 {
            return Err(call.reject(RejectClass::Schema, format_args!("{lat} is no latitude")));
        }
        let [row, column] = [lat, lon].map(|it| (it / self.degrees).floor());
        call.write(self.into, &format_args!("{row}:{column}"))
    }
}

/// What a table holds for a key, or a word; it does not care for answers that are late.
struct Tier {
    table: Table,
    key: Expression,
    into: Path,
    age: Path,
    is_careless: bool,
}

fn tier(keys: &mut Keys) -> impl Fn(&Given<'_>) -> Result<Tier, Refusal> + use<> {
    let (table, key, into) = (keys.table("table"), keys.expression("key"), keys.path("into"));
    let (age, careless) = (keys.path_if_any("into_age"), keys.flag("careless"));
    move |given| {
        let is_careless = given.flag(careless);
        Ok(Tier { table, key, into, age, is_careless })
    }
}

impl Operator for Tier {
    fn apply(&mut self, call: &mut Call<'_>) -> Answer {
        let key = call.key(self.key)?;
        let key = call.format(format_args!("t:{}", String::from_utf8_lossy(key)));
        let found = match call.lookup(self.table, key.as_bytes()) {
            Err(_) if self.is_careless => None,
            other => other?,
        };
        call.write(self.age, &call.age_ns(self.table).map(|it| it / 1_000_000))?;
        match found {
            Some(Value::Json(json)) => call.write_json(self.into, json),
            Some(Value::Text(text)) => call.write(self.into, text)?,
            Some(other) => call.write(self.into, &format_args!("{other:?}"))?,
            None => call.write(self.into, "none")?,
        }
        Ok(())
    }
}

/// A value as operators see it.
struct Show {
    of: Expression,
    into: Path,
}

impl Operator for Show {
    fn apply(&mut self, call: &mut Call<'_>) -> Answer {
        let value = call.value(self.of)?;
        call.write(self.into, &format_args!("{value:?}"))
    }
}

/// Keeps the hot thread, as nobody should.
struct Dawdle(Duration);

impl Operator for Dawdle {
    fn apply(&mut self, _: &mut Call<'_>) -> Answer {
        let start = Instant::now();
        while start.elapsed() < self.0 {
            hint::spin_loop();
        }
        Ok(())
    }
}

/// How much it has seen so far, in its own state.
struct Count {
    into: Path,
    also: Path,
    by: Expression,
    count: i64,
}

impl Operator for Count {
    fn apply(&mut self, call: &mut Call<'_>) -> Answer {
        self.count += call.integer(self.by)?;
        call.write(self.into, "not this, but what is written later")?;
        call.write(self.also, &[call.now_ns(), call.record().offset])?;
        call.write(self.into, &self.count)
    }
}

/// Ends records.
struct Judge {
    of: Expression,
    word: String,
    is_strict: bool,
}

impl Operator for Judge {
    fn apply(&mut self, call: &mut Call<'_>) -> Answer {
        let text = call.text(self.of)?;
        if text == self.word {
            return Err(call.skip(SkipClass::Sampled));
        }
        if self.is_strict {
            let reason = format_args!("{text:?} is not {:?}", self.word);
            return Err(call.reject(RejectClass::Conflict, reason));
        }
        Ok(())
    }
}

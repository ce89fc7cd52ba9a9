//! `check --connect` where source or sink is in Redis: what streams and groups there are.

use std::path::Path;

use super::connections::Check;
use crate::{
    config::{
        Problem, Settings,
        settings::{Operator, RedisSink, RedisSource, Route},
    },
    transport::{
        Trouble,
        redis::{PositionFile, RedisAdmin},
    },
};

/// What happens to a stream that is not there.
const MADE: &str = "a run will make it";

impl Check {
    /// Streams that are read, their group, and dead letters beside them.
    pub(super) fn stream_source(&mut self, settings: &Settings, redis: &RedisSource) {
        let admin = RedisAdmin::connect("source", &redis.url, &redis.shown);
        let mut admin = match admin {
            Ok(admin) => admin,
            Err(trouble) => return self.problem("source.redis.url", &trouble),
        };
        for stream in &settings.source.topics {
            let found = match redis.positions {
                Some(_) => self.stream("source", stream, &mut admin, "it is read once it is"),
                None => self.stream("source", stream, &mut admin, MADE),
            };
            let found = found.and_then(|is_there| match is_there && redis.positions.is_none() {
                true => self.stream_group(stream, &settings.source.group, &mut admin),
                false => Ok(()),
            });
            if let Err(trouble) = found {
                self.problem("source.redis.streams", &trouble);
            }
        }
        if let Some(path) = &redis.positions {
            self.positions(path, &settings.source.topics);
        }
        let dead = self.stream("dead_letters", &settings.dead_letters.topic, &mut admin, MADE);
        if let Err(trouble) = dead {
            self.problem("dead_letters.topic", &trouble);
        }
    }

    /// How far streams were read that have no group.
    fn positions(&mut self, path: &Path, streams: &[String]) {
        let file = match PositionFile::open(path, streams) {
            Ok(file) => file,
            Err(problem) => return self.refuse("source.redis.positions", &problem),
        };
        for (stream, found) in streams.iter().zip(file.found()) {
            let path = path.display();
            self.say(match found {
                Some(it) => format!("source: {stream} was read up to {}, says {path}", it.behind),
                None => format!("source: {path} says nothing of {stream}, start applies"),
            });
        }
    }

    /// The streams that results go to.
    pub(super) fn stream_sink(&mut self, settings: &Settings, redis: &RedisSink) {
        let admin = RedisAdmin::connect("sink", &redis.url, &redis.shown);
        let mut admin = match admin {
            Ok(admin) => admin,
            Err(trouble) => return self.problem("sink.redis.url", &trouble),
        };
        for (key, stream) in settings.result_topics() {
            if let Err(trouble) = self.stream("sink", &stream, &mut admin, MADE) {
                self.problem(&key, &trouble);
            }
        }
        for step in &settings.steps {
            if let Operator::Route(Route::Prefix(_, prefix)) = &step.operator {
                self.stream_prefix(&format!("{}.route.prefix", step.place), prefix, &mut admin);
            }
        }
    }

    /// Streams that a record may name are there.
    fn stream_prefix(&mut self, key: &str, prefix: &str, admin: &mut RedisAdmin) {
        match admin.streams(prefix).map(|it| it.len()) {
            Ok(0) => {
                let message = format!("no stream begins with {prefix:?}");
                let problem = Problem::error(key, message).hint("make those it is to name");
                self.report.problems.push(problem);
            }
            Ok(count) => self.say(format!("sink: streams {prefix}… found, {count}")),
            Err(trouble) => self.problem(key, &trouble),
        }
    }

    /// Whether a stream is there, and what else happens to it.
    fn stream(
        &mut self,
        peer: &str,
        stream: &str,
        admin: &mut RedisAdmin,
        otherwise: &str,
    ) -> Result<bool, Trouble> {
        let entries = admin.entries(stream)?;
        self.say(match entries {
            Some(entries) => format!("{peer}: stream {stream} found, entries {entries}"),
            None => format!("{peer}: stream {stream} is not there, {otherwise}"),
        });
        Ok(entries.is_some())
    }

    fn stream_group(
        &mut self,
        stream: &str,
        group: &str,
        admin: &mut RedisAdmin,
    ) -> Result<(), Trouble> {
        self.say(match admin.group(stream, group)? {
            None => format!("source: group {group} of {stream} is not there, a run will make it"),
            Some(it) => {
                let lag =
                    it.lag.map_or_else(|| "an unknown number of".to_owned(), |it| it.to_string());
                let (pending, consumers) = (it.pending, it.consumers);
                format!(
                    "source: group {group} of {stream} is {lag} entries behind, {pending} are \
                     pending, consumers {consumers}"
                )
            }
        });
        Ok(())
    }
}

//! Tables and steps: the parts of the settings that the user names.

use std::time::Duration;

use super::{
    build::Builder,
    hints,
    keys::table,
    operators::Own,
    problem::Problem,
    secrets,
    settings::{
        HashAlgorithm, OnDemand, OnMiss, OnStale, Operator, RedisKind, RedisTable, Refresh, Step,
        Table, TablePlace,
    },
    units,
    values::Typed,
};
use crate::limits;

/// What concerns tables on demand only.
const ON_DEMAND: [&str; 6] =
    ["load", "max_entries", "max_bytes", "absent_for", "max_waiting", "wait"];

impl Builder<'_> {
    pub(crate) fn tables(&mut self) -> Vec<Table> {
        let mut named = self.walked.tables.clone();
        named.sort();
        if named.len() > limits::TABLES_MAX {
            let message = format!("{} tables are more than {}", named.len(), limits::TABLES_MAX);
            self.error("tables", message, "take tables out that no step looks up");
        }
        named.retain(|(_, key)| !self.walked.broken.contains(key));
        named.into_iter().map(|(name, key)| self.table(name, &key)).collect()
    }

    fn table(&mut self, name: String, key: &str) -> Table {
        let (redis, file) = (format!("{key}.redis"), format!("{key}.file"));
        let both = self.stands(&redis) && self.stands(&file);
        let is_fit = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || name.len() > 64 || !name.chars().all(is_fit) {
            let message = "a table's name has 1 to 64 letters, digits, \"_\" or \"-\"";
            self.problems.push(Problem::error(key, message));
        }
        let place = if self.stands(&file) {
            TablePlace::File(self.path(&file))
        } else {
            TablePlace::Redis(self.redis_table(key, &redis))
        };
        if both {
            self.error(&file, "a table has redis or file, not both", "take one of them out");
        } else if !self.stands(&redis) && !self.stands(&file) {
            let hint = "redis = \"redis://localhost:6379/0\", or file = \"entries.jsonl\"";
            self.error(key, "this table says neither redis nor file", hint);
        } else if self.stands(&file) {
            self.refuse_redis_keys(key);
        }
        let at = |name: &str| format!("{key}.{name}");
        let max_staleness = self.duration(&at("max_staleness")).unwrap_or(table::MAX_STALENESS);
        self.check_staleness(key, &place, max_staleness);
        Table {
            place,
            max_staleness,
            on_stale: match self.text(&at("on_stale")).as_str() {
                "pause" => OnStale::Pause,
                "reject" => OnStale::Reject,
                _ => OnStale::Serve,
            },
            fail_on_empty: self.text(&at("on_empty")) != "allow",
            load_timeout: self.duration(&at("load_timeout")).unwrap_or(table::LOAD_TIMEOUT),
            huge_pages: match self.stands(&at("huge_pages")) {
                true => self.boolean(&at("huge_pages")),
                false => self.boolean("engine.huge_pages"),
            },
            name,
        }
    }

    /// An age that the copy has between two looks at its source would make it stale for nothing.
    fn check_staleness(&mut self, key: &str, place: &TablePlace, max: Duration) {
        let (least, how) = match place {
            TablePlace::File(_) => (table::FILE_AGE, "a file is looked at four times a second"),
            TablePlace::Redis(RedisTable { refresh: Refresh::Poll(interval), .. }) => {
                (*interval * 2, "between two readings the copy grows that old")
            }
            TablePlace::Redis(_) => return,
        };
        let acts = !matches!(self.text(&format!("{key}.on_stale")).as_str(), "" | "serve");
        if acts && max < least {
            let [max, least] = [max, least].map(units::show_duration);
            let message = format!("{max} is less than {least}: {how}");
            self.error(
                &format!("{key}.max_staleness"),
                message,
                "raise it, or on_stale = \"serve\"",
            );
        }
    }

    /// Keys that would do nothing for a file are mistakes.
    fn refuse_redis_keys(&mut self, key: &str) {
        let names = ["prefix", "kind", "fields", "load", "refresh", "poll_interval"];
        for name in names.iter().chain(&["verify_interval"]).chain(&ON_DEMAND) {
            self.refuse_if_stands(key, name, "this concerns tables in Redis, not files");
        }
    }

    fn refuse_if_stands(&mut self, key: &str, name: &str, why: &str) {
        let key = format!("{key}.{name}");
        if self.stands(&key) {
            self.error(&key, why, "take it out");
        }
    }

    fn redis_table(&mut self, key: &str, redis: &str) -> RedisTable {
        let (url, shown) = self.redis_url(redis);
        let at = |name: &str| format!("{key}.{name}");
        RedisTable {
            url,
            shown,
            prefix: self.text(&at("prefix")),
            kind: self.redis_kind(key),
            refresh: self.refresh(key),
            verify_interval: self
                .duration(&at("verify_interval"))
                .unwrap_or(table::VERIFY_INTERVAL),
            on_demand: self.on_demand(key),
        }
    }

    /// A URL of a Redis, checked, and as it may be shown.
    pub(crate) fn redis_url(&mut self, key: &str) -> (String, String) {
        let url = self.text(key);
        if let Some((message, hint)) = redis_problem(&url).filter(|_| !url.is_empty()) {
            self.error(key, message, hint);
        }
        let effective = self.walked.effective.iter().find(|effective| effective.key == key);
        let shown = match effective {
            // As written, so that what a variable or file holds is not shown.
            Some(effective) if effective.value.contains("${") => {
                effective.value.trim_matches('"').to_owned()
            }
            _ => secrets::masked_url(&url),
        };
        (url, shown)
    }

    fn redis_kind(&mut self, key: &str) -> RedisKind {
        let kind = self.text(&format!("{key}.kind"));
        if kind != "hash" {
            self.refuse_if_stands(key, "fields", "fields are those of `kind = \"hash\"`");
        }
        match kind.as_str() {
            "json" => RedisKind::Json,
            "hash" => RedisKind::Hash(match self.typed(&format!("{key}.fields")) {
                Some(Typed::Texts(fields)) => Some(fields.clone()),
                _ => None,
            }),
            _ => RedisKind::String,
        }
    }

    fn refresh(&mut self, key: &str) -> Refresh {
        let interval = format!("{key}.poll_interval");
        if self.text(&format!("{key}.refresh")) == "poll" {
            self.refuse_if_stands(key, "verify_interval", "polling compares everything anyway");
            return Refresh::Poll(self.duration(&interval).unwrap_or(table::POLL_INTERVAL));
        }
        self.refuse_if_stands(key, "poll_interval", "this concerns `refresh = \"poll\"`");
        Refresh::Tracking
    }

    fn on_demand(&mut self, key: &str) -> Option<OnDemand> {
        let at = |name: &str| format!("{key}.{name}");
        if self.text(&at("load")) != "on-demand" {
            for name in ON_DEMAND.iter().skip_while(|name| **name == "load") {
                self.refuse_if_stands(key, name, "this concerns `load = \"on-demand\"`");
            }
            return None;
        }
        if self.text(&at("refresh")) == "poll" {
            let message = "entries on demand are kept fresh by tracking, not by polling";
            self.error(&at("refresh"), message, "refresh = \"tracking\", or load = \"all\"");
        }
        self.refuse_if_stands(key, "on_empty", "a table on demand begins empty");
        let integer = |name: &str, default: usize| match self.typed(&at(name)) {
            Some(Typed::Integer(number)) => usize::try_from(*number).unwrap_or(usize::MAX),
            _ => default,
        };
        Some(OnDemand {
            max_entries: integer("max_entries", table::MAX_ENTRIES),
            max_bytes: integer("max_bytes", table::MAX_BYTES),
            absent_for: self.duration(&at("absent_for")).unwrap_or(table::ABSENT_FOR),
            max_waiting: integer("max_waiting", table::MAX_WAITING),
            wait: self.duration(&at("wait")).unwrap_or(table::WAIT),
        })
    }

    pub(crate) fn steps(&mut self) -> Vec<Step> {
        let shapes = self.walked.steps.clone();
        let mut steps: Vec<Step> = Vec::with_capacity(shapes.len());
        for (index, operators) in shapes.iter().enumerate() {
            let place = format!("steps[{index}]");
            if operators.len() != 1 {
                let message = match operators.as_slice() {
                    [] => "a step has exactly one operator; this has none".to_owned(),
                    several => format!(
                        "a step has exactly one operator; this has {}",
                        several.join(" and ")
                    ),
                };
                self.error(&place, message, "start each operator with [[steps]]");
                continue;
            }
            let name = self.text_at(&format!("{place}.name"));
            if name.is_some() && steps.iter().any(|step| step.name == name) {
                let message = "two steps have this name; metrics and dead letters mix them up";
                self.warning(&format!("{place}.name"), message, "name them differently");
            }
            let when = self.text_at(&format!("{place}.when"));
            if let Some(operator) = self.operator(&place, &operators[0]) {
                steps.push(Step { name, when, operator, place });
            }
        }
        self.warn_of_unused_tables(&steps);
        steps
    }

    /// `None`: the walk has told what is wrong with it.
    fn operator(&mut self, place: &str, name: &str) -> Option<Operator> {
        if self.walked.broken.contains(&format!("{place}.{name}")) {
            return None;
        }
        let key = |name: &str, field: &str| format!("{place}.{name}.{field}");
        match name {
            "lookup" => {
                let table = self.table_name(&key("lookup", "table"));
                let expression = self.required(&key("lookup", "key"), "key = \"event.key\"");
                let into = self.required(&key("lookup", "into"), "into = \"cached\"");
                let on_miss = match self.typed(&key("lookup", "on_miss")) {
                    Some(Typed::OnMiss(on_miss)) => on_miss.clone(),
                    _ => OnMiss::Reject,
                };
                let into_age = self.text_at(&key("lookup", "into_age"));
                Some(Operator::Lookup { table, key: expression, into, on_miss, into_age })
            }
            "hash" => {
                let algorithm = self.required(&key("hash", "algorithm"), "algorithm = \"md5\"");
                let of = self.required(&key("hash", "of"), "of = \"record.value\"");
                let into = self.required(&key("hash", "into"), "into = \"hash\"");
                let algorithm = match algorithm.as_str() {
                    "sha256" => HashAlgorithm::Sha256,
                    "xxh3" => HashAlgorithm::Xxh3,
                    _ => HashAlgorithm::Md5,
                };
                Some(Operator::Hash { algorithm, of, into })
            }
            "dedup" => Some(Operator::Dedup(self.dedup(&format!("{place}.dedup")))),
            "window" => self.window(&format!("{place}.window")).map(Operator::Window),
            _ => self.stateless(place, name),
        }
    }

    pub(super) fn table_name(&mut self, key: &str) -> String {
        let table = self.required(key, "table = \"users\"");
        let names: Vec<&str> = self.walked.tables.iter().map(|(name, _)| name.as_str()).collect();
        if !table.is_empty() && !names.contains(&table.as_str()) {
            let near = hints::did_you_mean(&table, names.iter().copied());
            let hint = near.unwrap_or_else(|| match names.as_slice() {
                [] => format!("[tables.{table}] says where its entries are"),
                names => format!("there is {}", names.join(", ")),
            });
            self.error(key, format!("there is no table named \"{table}\""), &hint);
        }
        table
    }

    fn warn_of_unused_tables(&mut self, steps: &[Step]) {
        let is_table = |key: &str| key.starts_with("steps[") && key.ends_with(".lookup.table");
        let own = steps.iter().filter_map(|step| match &step.operator {
            Operator::Own(own) => Some(own),
            _ => None,
        });
        let mut used: Vec<String> = self
            .walked
            .values
            .iter()
            .filter(|(key, _)| is_table(key))
            .filter_map(|(key, _)| self.text_at(key))
            .collect();
        used.extend(own.flat_map(Own::tables).map(str::to_owned));
        let is_asked = |name: &str| self.layers.iter().any(|layer| asks(&layer.text, name));
        for (name, key) in &self.walked.tables {
            if !used.contains(name) && !self.walked.broken.contains(key) && !is_asked(name) {
                let message = "no step looks this table up; it is loaded for nothing";
                self.problems.push(Problem::warning(key, message).hint("take it out"));
            }
        }
    }
}

/// Whether a text has an expression that asks a table by `lookup("…", …)`. Expressions are read
/// later; one that only stands in a comment costs no more than a warning that is not given.
fn asks(text: &str, table: &str) -> bool {
    let quoted = |rest: &str| {
        let rest = rest.trim_start().trim_start_matches('\\');
        let name = rest.strip_prefix(['"', '\'']).and_then(|rest| rest.strip_prefix(table));
        name.is_some_and(|rest| rest.trim_start_matches('\\').starts_with(['"', '\'']))
    };
    text.split("lookup(").skip(1).any(quoted)
}

/// What is wrong with the address of a Redis; the URL itself is never repeated.
fn redis_problem(url: &str) -> Option<(&'static str, &'static str)> {
    const FORM: &str = "redis://user:password@host:6379/0";
    const CLUSTER: (&str, &str) =
        ("several servers, as of a Redis Cluster, are not built yet", "redis:// to one server");
    let Some((scheme, rest)) = url.split_once("://") else {
        return Some(("this is no URL of a Redis", FORM));
    };
    match scheme {
        "redis" => {}
        "rediss" | "valkeys" => {
            let hint = "redis:// to a TLS tunnel on this host, such as stunnel";
            return Some(("TLS to Redis is not built yet", hint));
        }
        _ if scheme.contains("sentinel") => {
            let hint = "redis:// to the primary, or to a proxy that follows it";
            return Some(("following a Sentinel is not built yet", hint));
        }
        _ if scheme.contains("cluster") => return Some(CLUSTER),
        "unix" | "redis+unix" => return Some(("sockets are not built yet", "use redis://")),
        _ => return Some(("this is no URL of a Redis", FORM)),
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host.contains(',') {
        return Some(CLUSTER);
    }
    let port = host.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
    let database = path.split('?').next().unwrap_or_default();
    if host.is_empty() || host.starts_with(':') {
        return Some(("the URL names no host", FORM));
    }
    if port.is_some_and(|(_, port)| port.parse::<u16>().is_err()) {
        return Some(("the URL's port is no number up to 65535", FORM));
    }
    if !database.is_empty() && database.parse::<u32>().is_err() {
        return Some(("what follows the host is the number of a database", FORM));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_that_expressions_ask() {
        for text in [
            "set.a = \"lookup('users', event.key)\"",
            "set.a = 'lookup( \"users\", event.key).tier'",
            "set.a = \"has(event.a) ? lookup(\\\"users\\\", 'k') : 1\"",
        ] {
            assert!(asks(text, "users"), "{text}");
            assert!(!asks(text, "user") && !asks(text, "others"), "{text}");
        }
        assert!(!asks("lookup = { table = 'users' }", "users"));
    }

    #[test]
    fn addresses_of_redis() {
        for url in
            ["redis://localhost", "redis://:p@h:6379/0", "redis://[::1]:7/2", "redis://u:p@h"]
        {
            assert_eq!(redis_problem(url), None, "{url}");
        }
        for url in
            ["localhost:6379", "http://h", "redis://", "redis://h:x", "redis://h/db", "rediss://h"]
        {
            assert!(redis_problem(url).is_some(), "{url}");
        }
        for (url, what, hint) in [
            ("rediss://h", "TLS", "TLS tunnel"),
            ("valkeys://:p@h:1/0", "TLS", "TLS tunnel"),
            ("redis+sentinel://h:26379/primary", "Sentinel", "the primary"),
            ("redis-sentinel://a,b/primary", "Sentinel", "a proxy that follows it"),
            ("redis+cluster://h", "Redis Cluster", "one server"),
            ("redis://:p@a:7000,b:7000", "Redis Cluster", "one server"),
        ] {
            let (message, way_out) = redis_problem(url).expect(url);
            assert!(
                message.contains(what) && message.ends_with("not built yet"),
                "{url}: {message}"
            );
            assert!(way_out.contains(hint), "{url}: {way_out}");
        }
    }
}

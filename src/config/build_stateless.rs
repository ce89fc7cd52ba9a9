//! Steps that change, check, drop, route and multiply records.

use super::{
    Problem,
    build::Builder,
    settings::{Alias, Each, Operator, Otherwise, Require, Route},
    values::{self, Typed},
};

impl Builder<'_> {
    /// `None`: the walk has told what is wrong with it.
    pub(super) fn stateless(&mut self, place: &str, name: &str) -> Option<Operator> {
        let key = format!("{place}.{name}");
        Some(match name {
            "text" => Operator::Text(self.pairs(&key)?),
            "set" => Operator::Set(self.pairs(&key)?),
            "rename" => Operator::Rename(self.pairs(&key)?),
            "headers" => Operator::Headers(self.pairs(&key)?),
            "remove" => Operator::Remove(self.texts(&key)?),
            "keep" => Operator::Keep(self.texts(&key)?),
            "alias" => Operator::Alias(self.aliases(&key)?),
            "require" => Operator::Require(self.require(&key)?),
            "filter" => Operator::Filter(self.text_at(&key)?),
            "key" => Operator::Key(self.text_at(&key)?),
            "each" => Operator::Each(Each {
                of: self.required(&format!("{key}.of"), "of = \"event.items\""),
                into: self.required(&format!("{key}.into"), "into = \"item\""),
                at: self.text_at(&format!("{key}.at")),
            }),
            "route" => Operator::Route(self.route(&key)?),
            "sample" => {
                let share_key = format!("{key}.share");
                self.required(&share_key, "share = 0.1");
                match self.typed(&share_key) {
                    Some(Typed::Share(share)) => {
                        Operator::Sample { share: *share, by: self.text_at(&format!("{key}.by")) }
                    }
                    _ => return None,
                }
            }
            _ => return self.own(place, name),
        })
    }

    fn pairs(&self, key: &str) -> Option<Vec<(String, String)>> {
        match self.typed(key) {
            Some(Typed::Pairs(pairs)) => Some(pairs.clone()),
            _ => None,
        }
    }

    fn texts(&self, key: &str) -> Option<Vec<String>> {
        match self.typed(key) {
            Some(Typed::Texts(texts)) => Some(texts.clone()),
            _ => None,
        }
    }

    fn aliases(&self, key: &str) -> Option<Vec<Alias>> {
        match self.typed(key) {
            Some(Typed::Aliases(aliases)) => Some(aliases.clone()),
            _ => None,
        }
    }

    /// A file of a schema is meant relative to the file that names it.
    fn require(&self, key: &str) -> Option<Require> {
        match self.typed(key) {
            Some(Typed::Require(Require::Schema(file))) => {
                Some(Require::Schema(self.folder(key).join(file)))
            }
            Some(Typed::Require(require)) => Some(require.clone()),
            _ => None,
        }
    }

    fn route(&mut self, key: &str) -> Option<Route> {
        let at = |name: &str| format!("{key}.{name}");
        let [to, topic, among, prefix, otherwise] =
            ["to", "topic", "among", "prefix", "otherwise"].map(|name| self.stands(&at(name)));
        let hint =
            "to = [{ when = …, topic = … }], or topic = \"<expression>\" with among or prefix";
        if to == topic {
            let message = match to {
                true => "a route has either to or topic; this has both",
                false => "a route says to or topic; this has neither",
            };
            self.error(key, message, hint);
            return None;
        }
        if to {
            for (name, _) in [("among", among), ("prefix", prefix)].iter().filter(|it| it.1) {
                self.error(&at(name), "this belongs to a route by `topic`", "take it out");
            }
            return self.conditions(key);
        }
        if otherwise {
            let why = "a topic that is not among those named is class no_route";
            self.error(&at("otherwise"), why, "take it out, or use `to`");
        }
        let topic = self.text_at(&at("topic"));
        match (among, prefix) {
            (true, false) => {
                let names = self.texts(&at("among"))?;
                names.iter().for_each(|it| self.check_topic(&at("among"), it));
                Some(Route::Among(topic?, names))
            }
            (false, true) => {
                let prefix = self.text_at(&at("prefix"))?;
                self.check_topic(&at("prefix"), &prefix);
                Some(Route::Prefix(topic?, prefix))
            }
            _ => {
                let message = "data never names a topic of its own: either among or prefix says \
                               which ones it may name";
                self.error(&at("topic"), message, "among = [\"orders.large\", \"orders.small\"]");
                None
            }
        }
    }

    fn conditions(&mut self, key: &str) -> Option<Route> {
        let mut ways = Vec::new();
        while self.stands(&format!("{key}.to[{}]", ways.len())) {
            let way = format!("{key}.to[{}]", ways.len());
            let when = self.required(&format!("{way}.when"), "when = \"event.value > 100\"");
            let topic = self.required(&format!("{way}.topic"), "topic = \"large\"");
            self.check_topic(&format!("{way}.topic"), &topic);
            ways.push((when, topic));
        }
        if ways.is_empty() && !self.walked.broken.contains(&format!("{key}.to")) {
            self.error(
                &format!("{key}.to"),
                "there must be at least one condition",
                "to = [{ … }]",
            );
        }
        let otherwise = match self.text_at(&format!("{key}.otherwise")).as_deref() {
            None | Some("sink") => Otherwise::Sink,
            Some("skip") => Otherwise::Skip,
            Some("reject") => Otherwise::Reject,
            Some(topic) => {
                self.check_topic(&format!("{key}.otherwise"), topic);
                Otherwise::Topic(topic.to_owned())
            }
        };
        Some(Route::To(ways, otherwise))
    }

    /// A stream can have any name; a topic has to fit Kafka's rule.
    fn check_topic(&mut self, key: &str, name: &str) {
        let wrong = values::topic(name).err().filter(|_| !self.stands("sink.redis"));
        if let Some(wrong) = wrong.filter(|_| self.stands(key)) {
            self.problems.push(Problem::error(key, wrong.message));
        }
    }
}

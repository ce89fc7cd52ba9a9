//! Whether a run is ready for records, and if not, why: from the notices of the hot thread.

use std::collections::{BTreeMap, BTreeSet};

use crate::observe::{Notice, PauseCause, RunState};

/// An error that says that no broker of a peer can be reached.
const NO_BROKER: &str = "_ALL_BROKERS_DOWN";

/// What the notices so far come to.
#[derive(Clone, Debug, Default)]
pub(super) struct Readiness {
    /// The group has answered, with partitions or without.
    pub(super) is_assigned: bool,
    is_draining: bool,
    /// What was told of each cause of a pause; whether one holds, is the switch's to say.
    paused: BTreeMap<PauseCause, String>,
    /// Peers without brokers.
    away: BTreeSet<&'static str>,
}

impl Readiness {
    pub(super) fn hear(&mut self, notice: &Notice) {
        match notice {
            Notice::Assigned { .. } => self.is_assigned = true,
            Notice::State(RunState::Draining | RunState::Drained) => self.is_draining = true,
            Notice::Paused { cause, text } => {
                self.paused.insert(*cause, text.to_string());
            }
            Notice::BreakerOpened(facts) => {
                self.paused.insert(PauseCause::Breaker, facts.to_string());
            }
            Notice::Trouble(trouble) if trouble.code == NO_BROKER => {
                self.away.insert(trouble.peer);
            }
            Notice::Recovered(peer) => _ = self.away.remove(peer),
            _ => {}
        }
    }

    /// A cause of a pause in a sentence, with what was told of it.
    pub(super) fn why_paused(&self, cause: PauseCause) -> String {
        let text = self.paused.get(&cause).map_or(cause.text(), String::as_str);
        match cause {
            PauseCause::Asked => format!("paused: {text}"),
            PauseCause::Table => text.to_owned(),
            PauseCause::Breaker => format!("breaker: {text}"),
        }
    }

    /// True once the run has begun to end.
    pub(super) fn is_draining(&self) -> bool {
        self.is_draining
    }

    /// True unless no broker of that peer can be reached.
    pub(super) fn is_connected(&self, peer: &str) -> bool {
        !self.away.contains(peer)
    }

    /// Each reason but a pause in a sentence; none if the run is ready. One that is restoring was
    /// answered by the group, and announces that when it has restored.
    pub(super) fn reasons(&self, is_restoring: bool) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.is_draining {
            reasons.push("the run is ending".to_owned());
        }
        if !self.is_assigned && !is_restoring {
            reasons.push("the group has not answered yet".to_owned());
        }
        let away = self.away.iter().map(|peer| format!("{peer}: no broker can be reached"));
        reasons.extend(away);
        reasons
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{observe::PeerTrouble, verdict::Sentence};

    #[test]
    fn a_run_is_ready_once_the_group_has_answered_and_nothing_is_in_the_way() {
        let mut readiness = Readiness::default();
        assert_eq!(readiness.reasons(false), ["the group has not answered yet"]);
        assert!(readiness.reasons(true).is_empty());
        readiness.hear(&Notice::Assigned { partitions: 0, owned: 0 });
        assert!(readiness.reasons(false).is_empty());

        let text = Sentence::from("no broker can be reached");
        let away = PeerTrouble { peer: "sink", code: NO_BROKER, text, heals: true };
        readiness.hear(&Notice::Trouble(PeerTrouble { code: "_TRANSPORT", ..away }));
        assert!(readiness.reasons(false).is_empty(), "one broker of several");
        readiness.hear(&Notice::Trouble(away));
        assert_eq!(readiness.reasons(false), ["sink: no broker can be reached"]);
        assert!(!readiness.is_connected("sink") && readiness.is_connected("source"));
        readiness.hear(&Notice::Recovered("sink"));
        assert!(readiness.reasons(false).is_empty() && readiness.is_connected("sink"));

        let text = Sentence::from("table users is too old");
        readiness.hear(&Notice::Paused { cause: PauseCause::Table, text });
        assert_eq!(readiness.why_paused(PauseCause::Table), "table users is too old");
        let told = readiness.why_paused(PauseCause::Asked);
        assert!(told.starts_with("paused: told to pause"), "what is told late is said without it");
        readiness.hear(&Notice::State(RunState::Draining));
        assert_eq!(readiness.reasons(false), ["the run is ending"]);
    }
}

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
    /// Each cause of a pause, in words.
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
            Notice::Resumed { cause, .. } => _ = self.paused.remove(cause),
            Notice::Trouble(trouble) if trouble.code == NO_BROKER => {
                self.away.insert(trouble.peer);
            }
            Notice::Recovered(peer) => _ = self.away.remove(peer),
            _ => {}
        }
    }

    /// True while records are not taken on purpose, whatever the cause.
    pub(super) fn is_paused(&self) -> bool {
        !self.paused.is_empty()
    }

    /// True while that is so for this cause.
    pub(super) fn is_paused_by(&self, cause: PauseCause) -> bool {
        self.paused.contains_key(&cause)
    }

    /// True once the run has begun to end.
    pub(super) fn is_draining(&self) -> bool {
        self.is_draining
    }

    /// True unless no broker of that peer can be reached.
    pub(super) fn is_connected(&self, peer: &str) -> bool {
        !self.away.contains(peer)
    }

    /// Each reason in a sentence; none if the run is ready.
    pub(super) fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.is_draining {
            reasons.push("the run is ending".to_owned());
        }
        if !self.is_assigned {
            reasons.push("the group has not answered yet".to_owned());
        }
        let away = self.away.iter().map(|peer| format!("{peer}: no broker can be reached"));
        reasons.extend(away);
        reasons.extend(self.paused.iter().map(|(cause, text)| match cause {
            PauseCause::Asked => format!("paused: {text}"),
            PauseCause::Table => text.clone(),
            PauseCause::Breaker => format!("breaker: {text}"),
        }));
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
        assert_eq!(readiness.reasons(), ["the group has not answered yet"]);
        readiness.hear(&Notice::Assigned { partitions: 0, owned: 0 });
        assert!(readiness.reasons().is_empty());

        let text = Sentence::from("no broker can be reached");
        let away = PeerTrouble { peer: "sink", code: NO_BROKER, text, heals: true };
        readiness.hear(&Notice::Trouble(PeerTrouble { code: "_TRANSPORT", ..away }));
        assert!(readiness.reasons().is_empty(), "one broker of several");
        readiness.hear(&Notice::Trouble(away));
        assert_eq!(readiness.reasons(), ["sink: no broker can be reached"]);
        assert!(!readiness.is_connected("sink") && readiness.is_connected("source"));
        readiness.hear(&Notice::Recovered("sink"));
        assert!(readiness.reasons().is_empty() && readiness.is_connected("sink"));

        let text = Sentence::from("table users is too old");
        readiness.hear(&Notice::Paused { cause: PauseCause::Table, text });
        assert_eq!(readiness.reasons(), ["table users is too old"]);
        let text = Sentence::from("told to pause");
        readiness.hear(&Notice::Paused { cause: PauseCause::Asked, text });
        assert_eq!(readiness.reasons(), ["paused: told to pause", "table users is too old"]);
        let still = Some(PauseCause::Asked);
        readiness.hear(&Notice::Resumed { cause: PauseCause::Table, still });
        assert_eq!(readiness.reasons(), ["paused: told to pause"]);
        assert!(readiness.is_paused() && !readiness.is_paused_by(PauseCause::Table));
        readiness.hear(&Notice::Resumed { cause: PauseCause::Asked, still: None });
        assert!(readiness.reasons().is_empty());
        readiness.hear(&Notice::State(RunState::Draining));
        assert_eq!(readiness.reasons(), ["the run is ending"]);
    }
}

//! Whether a run is ready for records, and if not, why: from the notices of the hot thread.

use std::collections::BTreeSet;

use crate::observe::{Notice, RunState};

/// An error that says that no broker of a peer can be reached.
const NO_BROKER: &str = "_ALL_BROKERS_DOWN";

/// What the notices so far come to.
#[derive(Clone, Debug, Default)]
pub(super) struct Readiness {
    /// The group has answered, with partitions or without.
    pub(super) is_assigned: bool,
    is_draining: bool,
    paused: Option<String>,
    /// Peers without brokers.
    away: BTreeSet<&'static str>,
}

impl Readiness {
    pub(super) fn hear(&mut self, notice: &Notice) {
        match notice {
            Notice::Assigned { .. } => self.is_assigned = true,
            Notice::State(RunState::Draining | RunState::Drained) => self.is_draining = true,
            Notice::Told { event: "run.paused", text, .. } => self.paused = Some(text.to_string()),
            Notice::Told { event: "run.resumed", .. } => self.paused = None,
            Notice::Trouble(trouble) if trouble.code == NO_BROKER => {
                self.away.insert(trouble.peer);
            }
            Notice::Recovered(peer) => _ = self.away.remove(peer),
            _ => {}
        }
    }

    /// True while records are not taken because of a table.
    pub(super) fn is_paused(&self) -> bool {
        self.paused.is_some()
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
        reasons.extend(self.paused.clone());
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
        readiness.hear(&Notice::Told { event: "run.paused", text, alarming: true });
        assert_eq!(readiness.reasons(), ["table users is too old"]);
        assert!(readiness.is_paused());
        readiness.hear(&Notice::Told { event: "run.resumed", text, alarming: false });
        assert!(readiness.reasons().is_empty());
        readiness.hear(&Notice::State(RunState::Draining));
        assert_eq!(readiness.reasons(), ["the run is ending"]);
    }
}

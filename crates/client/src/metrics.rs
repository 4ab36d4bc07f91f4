//! What a client has done, for its owner's monitoring.

use clearway_flow::Counter;

/// Counters of one client.
#[derive(Debug, Default)]
pub struct ClientMetrics {
    /// Connections made.
    pub connections: Counter,
    /// Attempts to connect that failed.
    pub connect_failures: Counter,
    /// Envelopes sent, resends included.
    pub envelopes_sent: Counter,
    /// Envelopes answered, each once.
    pub envelopes_answered: Counter,
    /// Streams whose unanswered rest was sent again.
    pub resends: Counter,
    /// Envelopes looked up because an answer might speak of one copy alone, repeats included.
    pub look_ups: Counter,
    /// Questions asked, repeats included.
    pub questions: Counter,
    /// Feeds that were taken up again where they broke off.
    pub follow_resumes: Counter,
}

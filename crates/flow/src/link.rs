//! A bounded queue between two stages, named by its two ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{
    Receiver, RecvTimeoutError, SendTimeoutError, Sender, TryRecvError, TrySendError, bounded,
    select,
};

use crate::counter::Counter;
use crate::metric::Times;

/// Figures of one link.
#[derive(Debug)]
pub struct LinkStats {
    /// The two ends, as in `verify_order`.
    pub name: &'static str,
    /// Messages that fit.
    pub capacity: usize,
    /// Messages sent so far.
    pub sent: Counter,
    /// Messages taken so far.
    pub taken: Counter,
    /// How long senders waited for room, where they had to.
    pub waits: Times,
}

impl LinkStats {
    /// Messages waiting.
    #[must_use]
    pub fn depth(&self) -> u64 {
        // Read in this order, the difference can be too large for a moment, never negative.
        let taken = self.taken.value();
        self.sent.value().saturating_sub(taken)
    }
}

/// The end of a link that puts messages in.
#[derive(Debug)]
pub struct LinkSender<T> {
    channel: Sender<T>,
    stats: Arc<LinkStats>,
}

/// The end of a link that takes messages out.
#[derive(Debug)]
pub struct LinkReceiver<T> {
    channel: Receiver<T>,
    stats: Arc<LinkStats>,
}

/// Makes a link that holds up to `capacity` messages.
#[must_use]
pub fn link<T>(name: &'static str, capacity: usize) -> (LinkSender<T>, LinkReceiver<T>) {
    assert!(capacity > 0, "link {name} must hold a message");
    let (sender, receiver) = bounded(capacity);
    let stats = Arc::new(LinkStats {
        name,
        capacity,
        sent: Counter::default(),
        taken: Counter::default(),
        waits: Times::default(),
    });
    let sender = LinkSender {
        channel: sender,
        stats: Arc::clone(&stats),
    };
    (
        sender,
        LinkReceiver {
            channel: receiver,
            stats,
        },
    )
}

impl<T> LinkSender<T> {
    /// Puts a message in, waiting for room; gives it back when the other end is gone.
    ///
    /// # Errors
    /// The message, when nobody will take it any more.
    pub fn send(&self, message: T) -> Result<(), T> {
        let message = match self.channel.try_send(message) {
            Ok(()) => {
                self.stats.sent.add(1);
                return Ok(());
            }
            Err(TrySendError::Disconnected(message)) => return Err(message),
            Err(TrySendError::Full(message)) => message,
        };
        let since = Instant::now();
        let sent = self
            .channel
            .send(message)
            .map_err(|error| error.into_inner());
        self.stats.waits.record(since.elapsed());
        if sent.is_ok() {
            self.stats.sent.add(1);
        }
        sent
    }

    /// Puts a message in if there is room within `timeout`.
    ///
    /// # Errors
    /// The message, when there is no room or nobody will take it any more.
    pub fn send_timeout(&self, message: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        self.channel.send_timeout(message, timeout)?;
        self.stats.sent.add(1);
        Ok(())
    }

    /// Puts a message in if there is room now.
    ///
    /// # Errors
    /// The message, when there is no room or nobody will take it any more.
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        self.channel.try_send(message)?;
        self.stats.sent.add(1);
        Ok(())
    }

    /// The link's figures.
    #[must_use]
    pub fn stats(&self) -> &Arc<LinkStats> {
        &self.stats
    }
}

impl<T> LinkReceiver<T> {
    /// Takes the next message; `None` when all senders are gone and the link is empty.
    #[must_use]
    pub fn receive(&self) -> Option<T> {
        self.channel.recv().ok().inspect(|_| self.note_taken())
    }

    /// Takes the next message if one is there.
    ///
    /// # Errors
    /// Empty, or all senders gone and the link empty.
    pub fn try_receive(&self) -> Result<T, TryRecvError> {
        self.channel.try_recv().inspect(|_| self.note_taken())
    }

    /// Takes the next message if one comes within `timeout`.
    ///
    /// # Errors
    /// None came, or all senders are gone and the link is empty.
    pub fn receive_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        let received = self.channel.recv_timeout(timeout);
        received.inspect(|_| self.note_taken())
    }

    /// Messages waiting.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.channel.len()
    }

    /// Counts a message that was taken through [`LinkReceiver::channel`].
    pub fn note_taken(&self) {
        self.stats.taken.add(1);
    }

    /// The channel itself, for waiting on several links at once; a caller that takes a message from
    /// it calls [`LinkReceiver::note_taken`].
    #[must_use]
    pub fn channel(&self) -> &Receiver<T> {
        &self.channel
    }

    /// The link's figures.
    #[must_use]
    pub fn stats(&self) -> &Arc<LinkStats> {
        &self.stats
    }
}

/// Takes the next message of either link, as one type; `None` when both have ended.
pub fn receive_either<A, B, T>(
    (a, of_a): (&LinkReceiver<A>, fn(A) -> T),
    (b, of_b): (&LinkReceiver<B>, fn(B) -> T),
) -> Option<T> {
    select! {
        recv(a.channel()) -> message => match message {
            Ok(message) => {
                a.note_taken();
                Some(of_a(message))
            }
            Err(_) => b.receive().map(of_b),
        },
        recv(b.channel()) -> message => match message {
            Ok(message) => {
                b.note_taken();
                Some(of_b(message))
            }
            Err(_) => a.receive().map(of_a),
        },
    }
}

/// Takes a message that is there on one of two links, of the first link if both have one; `None`
/// when there is none now.
pub fn try_receive_either<A, B, T>(
    (a, of_a): (&LinkReceiver<A>, fn(A) -> T),
    (b, of_b): (&LinkReceiver<B>, fn(B) -> T),
) -> Option<T> {
    let first = a.try_receive().map(of_a);
    first.or_else(|_| b.try_receive().map(of_b)).ok()
}

impl<T> Clone for LinkSender<T> {
    fn clone(&self) -> Self {
        Self {
            channel: self.channel.clone(),
            stats: Arc::clone(&self.stats),
        }
    }
}

impl<T> Clone for LinkReceiver<T> {
    fn clone(&self) -> Self {
        Self {
            channel: self.channel.clone(),
            stats: Arc::clone(&self.stats),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_link_keeps_its_sender_waiting_and_loses_nothing() {
        let (sender, receiver) = link("test_test", 1);
        let producer = std::thread::spawn(move || (0..100).try_for_each(|n| sender.send(n)));
        let got: Vec<i32> = std::iter::from_fn(|| receiver.receive()).collect();
        assert_eq!(got, (0..100).collect::<Vec<_>>());
        assert_eq!(producer.join().expect("the producer ends"), Ok(()));
        let stats = receiver.stats();
        assert_eq!(
            (stats.sent.value(), stats.taken.value(), stats.depth()),
            (100, 100, 0)
        );
        assert!(
            stats.waits.count() > 0,
            "a link of one message has no room for the next"
        );
    }

    #[test]
    fn either_of_two_links_is_heard_until_both_have_ended() {
        let ((a, from_a), (b, from_b)) = (link("a_test", 4), link("b_test", 4));
        let either = || receive_either((&from_a, i64::from), (&from_b, i64::from));
        let now = || try_receive_either((&from_a, i64::from), (&from_b, i64::from));
        assert_eq!(now(), None);
        b.send(2_i32).expect("room");
        assert_eq!(either(), Some(2));
        b.send(3).expect("room");
        a.send(1_u8).expect("room");
        assert_eq!((now(), now(), now()), (Some(1), Some(3), None));
        drop(a);
        b.send(4).expect("room");
        assert_eq!(either(), Some(4));
        drop(b);
        assert_eq!(either(), None);
        assert_eq!(
            (from_a.stats().taken.value(), from_b.stats().taken.value()),
            (1, 3)
        );
    }

    #[test]
    fn a_message_nobody_will_take_comes_back() {
        let (sender, receiver) = link("test_test", 1);
        drop(receiver);
        assert_eq!(sender.send(5), Err(5));
    }
}

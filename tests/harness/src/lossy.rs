//! A network that loses what the node says: datagrams pass to the node, its own are dropped for a
//! while once a member has sent something to be cleared.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A datagram that begins a submission has at least an envelope in it, and is no full-sized one.
const SUBMISSION_BYTES: std::ops::Range<usize> = 250..1100;
/// How long a socket waits before it looks whether the test is over.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// No QUIC datagram here is longer.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// A proxy in front of a node's door; ends when it is dropped.
#[derive(Debug)]
pub struct Lossy {
    door: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    over: AtomicBool,
    loss: Mutex<Loss>,
}

#[derive(Clone, Copy, Debug)]
enum Loss {
    /// Everything passes.
    None,
    /// The node's datagrams are lost for so long from the next submission on.
    Armed(Duration),
    /// They are lost until then.
    Until(Instant),
}

impl Lossy {
    /// A proxy that passes everything to the door at `node` and back.
    ///
    /// # Panics
    /// When loopback has no free port.
    #[must_use]
    pub fn start(node: &str) -> Self {
        let node: SocketAddr = node.parse().expect("an address");
        let front = UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port");
        let door = front.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            over: AtomicBool::new(false),
            loss: Mutex::new(Loss::None),
        });
        let passing = Arc::clone(&shared);
        let thread = std::thread::spawn(move || pass(&front, node, &passing));
        Self {
            door,
            shared,
            thread: Some(thread),
        }
    }

    /// Where members find it.
    #[must_use]
    pub fn door(&self) -> String {
        self.door.to_string()
    }

    /// From the next submission on, everything that the node says is lost for so long.
    pub fn lose_answers_for(&self, time: Duration) {
        *self.shared.loss() = Loss::Armed(time);
    }

    /// Whether answers are being lost.
    #[must_use]
    pub fn is_losing(&self) -> bool {
        matches!(*self.shared.loss(), Loss::Until(_))
    }

    /// Everything passes again.
    pub fn heal(&self) {
        *self.shared.loss() = Loss::None;
    }
}

impl Drop for Lossy {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its panic has been told on standard error, and the test fails by what it did not get.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn loss(&self) -> std::sync::MutexGuard<'_, Loss> {
        // One value is replaced as a whole.
        self.loss.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_sent(&self, datagram: &[u8]) {
        let short = datagram.first().is_some_and(|byte| byte & 0x80 == 0);
        if !short || !SUBMISSION_BYTES.contains(&datagram.len()) {
            return;
        }
        let mut loss = self.loss();
        if let Loss::Armed(time) = *loss {
            *loss = Loss::Until(Instant::now() + time);
        }
    }

    fn loses(&self) -> bool {
        let mut loss = self.loss();
        match *loss {
            Loss::Until(end) if Instant::now() < end => true,
            Loss::Until(_) => {
                *loss = Loss::None;
                false
            }
            Loss::None | Loss::Armed(_) => false,
        }
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

/// Passes the members' datagrams on; a thread for each member passes the node's.
fn pass(front: &UdpSocket, node: SocketAddr, shared: &Arc<Shared>) {
    let mut members: HashMap<SocketAddr, UdpSocket> = HashMap::new();
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    front.set_read_timeout(Some(LOOK_AGAIN)).expect("not zero");
    std::thread::scope(|threads| {
        while !shared.is_over() {
            let Ok((len, member)) = front.recv_from(&mut buffer) else {
                continue;
            };
            shared.note_sent(&buffer[..len]);
            let back = members.entry(member).or_insert_with(|| {
                let back = UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port");
                back.connect(node).expect("loopback");
                let (from, to) = (back.try_clone(), front.try_clone());
                let (from, to) = (from.expect("a socket"), to.expect("a socket"));
                threads.spawn(move || pass_back(&from, &to, member, shared));
                back
            });
            // A datagram may be lost on any network.
            let _ = back.send(&buffer[..len]);
        }
    });
}

fn pass_back(from: &UdpSocket, to: &UdpSocket, member: SocketAddr, shared: &Shared) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    from.set_read_timeout(Some(LOOK_AGAIN)).expect("not zero");
    while !shared.is_over() {
        let Ok(len) = from.recv(&mut buffer) else {
            continue;
        };
        if !shared.loses() {
            // As above.
            let _ = to.send_to(&buffer[..len], member);
        }
    }
}

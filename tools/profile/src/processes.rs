//! What `/proc` tells of a process: its command line and owner, its threads, and who listens where.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;

use crate::error::ProfileError;

/// Longest command line that is shown.
const SHOWN_MAX: usize = 120;

/// What a process was called with, shortened; its name where it has forgotten that.
///
/// # Errors
/// [`ProfileError::NoProcess`] where it does not run.
pub fn command_line(pid: u32) -> Result<String, ProfileError> {
    let read = |name: &str| fs::read(format!("/proc/{pid}/{name}"));
    let gone = |_| ProfileError::NoProcess { pid };
    let words = read("cmdline").map_err(gone)?;
    let words = words.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    let line = match words.is_empty() {
        true => format!("[{}]", name_of(&format!("/proc/{pid}/comm")).map_err(gone)?),
        false => words.join(" "),
    };
    Ok(match line.char_indices().nth(SHOWN_MAX) {
        Some((at, _)) => format!("{}...", &line[..at]),
        None => line,
    })
}

/// The process that listens on an address of this machine, by QUIC or TCP.
///
/// # Errors
/// Where no socket has the address, or its process belongs to somebody else.
pub fn listener(address: SocketAddr) -> Result<u32, ProfileError> {
    let mut sockets = Vec::new();
    for table in ["udp", "udp6", "tcp", "tcp6"] {
        let path = format!("/proc/net/{table}");
        match fs::read_to_string(&path) {
            Ok(text) => sockets.extend(text.lines().filter_map(Socket::parse)),
            // A system without IPv6.
            Err(error) if table.ends_with('6') && error.kind() == io::ErrorKind::NotFound => {}
            Err(said) => return Err(ProfileError::Proc { path, said }),
        }
    }
    let inode = chosen(&sockets, address).ok_or(ProfileError::NoListener { address })?;
    holder(inode)?.ok_or(ProfileError::HiddenListener { address })
}

/// The socket that gets what is sent to an address: one bound to it, or else to every address of
/// its port.
fn chosen(sockets: &[Socket], address: SocketAddr) -> Option<u64> {
    let (ip, port) = (address.ip().to_canonical(), address.port());
    let listens = |socket: &&Socket| socket.listens && socket.local.port() == port;
    let bound = |any: bool| {
        let mut all = sockets.iter().filter(listens);
        all.find(|socket| match socket.local.ip().to_canonical() {
            local if local.is_unspecified() => any,
            local => local == ip && !any,
        })
    };
    let socket = bound(false).or_else(|| bound(true))?;
    Some(socket.inode)
}

/// The process that holds a socket, among those that this user may look into.
fn holder(inode: u64) -> Result<Option<u32>, ProfileError> {
    let wanted = format!("socket:[{inode}]");
    let proc = |said| ProfileError::Proc {
        path: "/proc".to_owned(),
        said,
    };
    for entry in fs::read_dir("/proc").map_err(proc)? {
        // One that ends meanwhile, and one of somebody else, are not it.
        let Ok(entry) = entry else { continue };
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let files = fs::read_dir(entry.path().join("fd"));
        let mut links = files.into_iter().flatten().flatten();
        let holds = links.any(|file| {
            fs::read_link(file.path()).is_ok_and(|link| link.as_os_str() == wanted.as_str())
        });
        if holds {
            return Ok(Some(pid));
        }
    }
    Ok(None)
}

/// A row of the kernel's tables of sockets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Socket {
    local: SocketAddr,
    listens: bool,
    inode: u64,
}

impl Socket {
    /// As in: `0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 35 ...`
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace().skip(1);
        let local = socket_address(words.next()?)?;
        let _remote = words.next()?;
        // 0A: a TCP socket that listens; 07: a UDP socket that is connected to nobody.
        let listens = matches!(words.next()?, "0A" | "07");
        // Queues, timer, retransmits, user, timeout.
        let inode = words.nth(5)?.parse().ok()?;
        Some(Self {
            local,
            listens,
            inode,
        })
    }
}

/// Address and port in hexadecimal; addresses as 32-bit words in this machine's order.
fn socket_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let word = u32::from_str_radix(address.get(at..at + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    let ip = match address.len() {
        8 => IpAddr::from(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            IpAddr::from(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// Fails where a process does not run, or is not this user's.
pub(crate) fn check_owner(pid: u32) -> Result<(), ProfileError> {
    let about = fs::metadata(format!("/proc/{pid}"));
    let owner = about.map_err(|_| ProfileError::NoProcess { pid })?.uid();
    let user = rustix::process::geteuid();
    match user.is_root() || user.as_raw() == owner {
        true => Ok(()),
        false => Err(ProfileError::Foreign {
            pid,
            owner,
            user: user.as_raw(),
        }),
    }
}

/// The threads that a process has now, each with its name; none once it has ended.
pub(crate) fn threads(pid: u32) -> Vec<(u32, String)> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    let threads = tasks.into_iter().flatten().flatten().filter_map(|task| {
        let thread = task.file_name().to_str()?.parse().ok()?;
        let name = name_of(&format!("/proc/{pid}/task/{thread}/comm"));
        Some((thread, name.ok()?))
    });
    threads.collect()
}

fn name_of(path: &str) -> io::Result<String> {
    let name = fs::read(path)?;
    Ok(String::from_utf8_lossy(&name).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    #[test]
    fn the_socket_bound_to_an_address_goes_before_one_bound_to_all() {
        let row = |local: &str, state: &str, inode: u64| {
            let rest = "00000000:00000000 00:00000000 00000000 1000 0";
            let line = format!("  7: {local} 00000000:0000 {state} {rest} {inode} 2 0 0");
            Socket::parse(&line).expect("a row")
        };
        let sockets = [
            row("00000000:1F90", "07", 1),
            row("0100007F:1F90", "0A", 2),
            row("0100007F:1F91", "01", 3),
            row("00000000000000000000000000000000:1F92", "0A", 4),
            row("0000000000000000FFFF00000100007F:1F93", "07", 5),
            row("00000000000000000000000001000000:1F94", "07", 6),
        ];
        let rows = [
            ("127.0.0.1:8080", Some(2)),
            ("127.0.0.2:8080", Some(1)),
            ("127.0.0.1:8081", None),
            ("127.0.0.1:8082", Some(4)),
            ("[::1]:8082", Some(4)),
            ("127.0.0.1:8083", Some(5)),
            ("[::1]:8084", Some(6)),
            ("127.0.0.1:8084", None),
            ("127.0.0.1:1", None),
        ];
        for (address, expected) in rows {
            let found = chosen(&sockets, address.parse().expect("an address"));
            assert_eq!(found, expected, "{address}");
        }
        assert_eq!(Socket::parse("  sl  local_address rem_address   st"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn who_listens_is_found_by_its_address() {
        let own = std::process::id();
        let door = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let page = TcpListener::bind("[::]:0").or_else(|_| TcpListener::bind("0.0.0.0:0"));
        let page = page.expect("a port");
        let port = page.local_addr().expect("bound").port();
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        for address in [door.local_addr().expect("bound"), local] {
            assert_eq!(listener(address).expect("found"), own, "{address}");
        }
        drop(door);
        let free = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let free = free.expect("a port");
        let said = listener(free).expect_err("nobody listens").to_string();
        assert!(said.contains("nothing listens"), "{said}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_tells_its_command_line_and_its_threads() {
        let own = std::process::id();
        assert!(
            command_line(own)
                .expect("it runs")
                .contains("clearway_profile")
        );
        let (say, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::Builder::new().name("named-7".to_owned());
        let thread = thread.spawn(move || wait.recv()).expect("it starts");
        // A thread gives itself its name.
        while !threads(own).iter().any(|(_, name)| name == "named-7") {
            std::thread::yield_now();
        }
        drop(say);
        // It was told nothing.
        let _ = thread.join().expect("it ends");
        let none = u32::MAX;
        assert!(threads(none).is_empty());
        command_line(none).expect_err("no process has this number");
        check_owner(own).expect("it is this user's");
        check_owner(none).expect_err("no process has this number");
    }
}

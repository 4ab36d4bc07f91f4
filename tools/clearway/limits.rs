//! Limits that the system sets to a process, and whether a node can live within them: `doctor` and
//! every command that starts a node ask here, and so does what takes much memory by itself.

use std::path::Path;

use clearway_node::LOG_FOLDER;
use clearway_node::config::NodeConfig;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::failure::{Failure, Kind};

/// Open files of a node without a segment: its journal has one a view and keeps 128 views, and
/// twice as many while it starts; sockets, threads' wake-ups and a scrape of the metrics take tens.
const FILES_MIN: u64 = 512;
/// Open files per segment of the log: the segment and its two indexes.
const FILES_PER_SEGMENT: u64 = 3;
/// As many as the soft limit is raised to, where the hard one allows it.
const FILES_WANTED: u64 = 65_536;
/// Address space of a node without a segment; it maps each segment.
const ADDRESS_BYTES_MIN: u64 = 2 << 30;

/// Memory of its own of a node with small tables: threads' stacks, buffers, combs of keys.
const DATA_BYTES_MIN: u64 = 1 << 30;
/// Stack of a thread; Rust's own default is twice that.
const STACK_BYTES_MIN: u64 = 1 << 20;
/// Open files of a command that asks a node: three streams, wake-ups, its socket, a file or two.
const COMMAND_FILES_MIN: u64 = 16;
/// How many of these were there before the program: its standard streams.
const STREAMS: u64 = 3;
/// Memory of such a command.
const COMMAND_BYTES_MIN: u64 = 64 << 20;
/// What Rust takes for the stacks of threads that name no size.
const THREAD_STACK: &str = "RUST_MIN_STACK";
/// Largest stack of every thread; where none can be had the pools of threads panic.
const THREAD_STACK_BYTES_MAX: u64 = 1 << 30;

/// What the system allows this process; `None` is no limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) open_files: Option<u64>,
    file_bytes: Option<u64>,
    address_bytes: Option<u64>,
    data_bytes: Option<u64>,
    /// Of the first thread, which the system gives. Commands run on a stack of their own, but the
    /// engine's runtime gives its threads as much as the first one has.
    stack_bytes: Option<u64>,
    /// Of threads that name no size, where the environment says so.
    thread_stack_bytes: Option<u64>,
}

impl Limits {
    /// The limits of a process that opens a log: the soft limit of open files is raised as far as
    /// the hard one allows.
    pub(crate) fn raised() -> Self {
        let files = getrlimit(Resource::Nofile);
        let wanted = files
            .maximum
            .map_or(FILES_WANTED, |hard| hard.min(FILES_WANTED));
        if files.current.is_some_and(|soft| soft < wanted) {
            let current = Some(wanted);
            // Where it stays as it was, what follows is measured by it.
            let _ = setrlimit(Resource::Nofile, Rlimit { current, ..files });
        }
        Self::current()
    }

    /// The limits as they stand.
    fn current() -> Self {
        Self {
            open_files: getrlimit(Resource::Nofile).current,
            file_bytes: getrlimit(Resource::Fsize).current,
            address_bytes: getrlimit(Resource::As).current,
            data_bytes: getrlimit(Resource::Data).current,
            stack_bytes: getrlimit(Resource::Stack).current,
            thread_stack_bytes: std::env::var(THREAD_STACK)
                .ok()
                .and_then(|text| text.parse().ok()),
        }
    }

    /// Each limit that is too low for a node whose log has `segments` segments of `segment_bytes`
    /// bytes, with what to do.
    pub(crate) fn shortages(self, segments: u64, segment_bytes: u64) -> Vec<String> {
        self.below(&Needs {
            who: "a node",
            open_files: FILES_MIN + FILES_PER_SEGMENT * segments,
            file_bytes: segment_bytes,
            address_bytes: ADDRESS_BYTES_MIN + segments * segment_bytes,
            data_bytes: DATA_BYTES_MIN,
            stack_bytes: STACK_BYTES_MIN,
        })
    }

    /// Each limit that is lower than what somebody needs, with what to do.
    fn below(self, needs: &Needs) -> Vec<String> {
        let mut shortages = Vec::new();
        let mut check = |limit: Option<u64>, needed: u64, what: &str, help: &str| {
            if let Some(limit) = limit.filter(|&limit| limit < needed) {
                let who = needs.who;
                shortages.push(format!(
                    "this process may have {limit} {what} and {who} needs {needed}: {help}"
                ));
            }
        };
        check(
            self.open_files,
            needs.open_files,
            "open files",
            &format!("run `ulimit -n {FILES_WANTED}`, or set LimitNOFILE={FILES_WANTED}"),
        );
        check(
            self.file_bytes,
            needs.file_bytes,
            "bytes in a file",
            "run `ulimit -f unlimited`, or take LimitFSIZE out",
        );
        check(
            self.address_bytes,
            needs.address_bytes,
            "bytes of address space",
            "run `ulimit -v unlimited`, or take LimitAS out",
        );
        check(
            self.data_bytes,
            needs.data_bytes,
            "bytes of memory",
            "run `ulimit -d unlimited`, or take LimitDATA out",
        );
        check(
            self.stack_bytes,
            needs.stack_bytes,
            "bytes of stack",
            "run `ulimit -s 8192`, or take LimitSTACK out",
        );
        check(
            self.thread_stack_bytes,
            needs.stack_bytes,
            "bytes of stack in a thread",
            &format!("unset {THREAD_STACK}"),
        );
        let stack = self.thread_stack_bytes;
        if let Some(bytes) = stack.filter(|&bytes| bytes > THREAD_STACK_BYTES_MAX) {
            shortages.push(format!(
                "{THREAD_STACK} asks for {bytes} bytes of stack for each thread, and at most \
                 {THREAD_STACK_BYTES_MAX} are given: unset {THREAD_STACK}"
            ));
        }
        shortages
    }
}

/// What somebody needs of the system.
#[derive(Default)]
struct Needs {
    who: &'static str,
    open_files: u64,
    file_bytes: u64,
    address_bytes: u64,
    data_bytes: u64,
    stack_bytes: u64,
}

/// Fails where not even the arguments can be read safely, or a runtime be made: what that takes
/// ends the program where it cannot be had.
pub(crate) fn check_own() -> Result<(), Failure> {
    // What the caller has left open counts against the limit, too.
    let inherited = open_descriptors().saturating_sub(STREAMS);
    let checked = fail(Limits::current().below(&Needs {
        who: "this program",
        open_files: COMMAND_FILES_MIN + inherited,
        address_bytes: COMMAND_BYTES_MIN,
        data_bytes: COMMAND_BYTES_MIN,
        ..Needs::default()
    }));
    checked.map_err(|failure| failure.of(Kind::NotSent))
}

/// Descriptors that are open in this process; none where that cannot be seen.
fn open_descriptors() -> u64 {
    // The folder's own descriptor is one of them.
    let entries = std::fs::read_dir("/proc/self/fd");
    entries.map_or(0, |entries| entries.count().saturating_sub(1) as u64)
}

/// Fails before `who` begins where the memory limit of this process is below `bytes`.
pub(crate) fn check_memory(who: &'static str, bytes: u64) -> Result<(), Failure> {
    fail(Limits::current().below(&Needs {
        who,
        address_bytes: bytes,
        data_bytes: bytes,
        ..Needs::default()
    }))
}

/// Fails before anything is opened where a node of this configuration cannot live.
pub(crate) fn check(config: &NodeConfig) -> Result<(), Failure> {
    let segments = segments(&config.data_dir);
    fail(Limits::raised().shortages(segments, config.store.segment_bytes))
}

fn fail(shortages: Vec<String>) -> Result<(), Failure> {
    match shortages.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(Kind::Failed, shortages.join("; "))),
    }
}

/// Segments in a data folder; none where there is none yet.
pub(crate) fn segments(data_dir: &Path) -> u64 {
    let entries = std::fs::read_dir(data_dir.join(LOG_FOLDER));
    let names = entries.into_iter().flatten().filter_map(Result::ok);
    let segments = names.filter(|entry| {
        let name = entry.file_name();
        Path::new(&name).extension().is_some_and(|it| it == "seg")
    });
    segments.count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_that_is_too_low_is_named_with_what_to_do() {
        let ample = Limits {
            open_files: Some(1024),
            file_bytes: None,
            address_bytes: None,
            data_bytes: None,
            stack_bytes: Some(8 << 20),
            thread_stack_bytes: None,
        };
        assert_eq!(ample.shortages(0, 64 << 20), [""; 0]);
        let rows = [
            (
                Limits {
                    open_files: Some(64),
                    ..ample
                },
                "64 open files and a node needs 512",
                "ulimit -n",
            ),
            (
                Limits {
                    file_bytes: Some(1 << 20),
                    ..ample
                },
                "1048576 bytes in a file",
                "ulimit -f",
            ),
            (
                Limits {
                    address_bytes: Some(1 << 30),
                    ..ample
                },
                "1073741824 bytes of address space",
                "ulimit -v",
            ),
            (
                Limits {
                    data_bytes: Some(100 << 20),
                    ..ample
                },
                "104857600 bytes of memory",
                "ulimit -d",
            ),
            (
                Limits {
                    stack_bytes: Some(100 << 10),
                    ..ample
                },
                "102400 bytes of stack and",
                "ulimit -s",
            ),
            (
                Limits {
                    thread_stack_bytes: Some(1),
                    ..ample
                },
                "1 bytes of stack in a thread",
                "unset RUST_MIN_STACK",
            ),
            (
                Limits {
                    thread_stack_bytes: Some(1 << 40),
                    ..ample
                },
                "1099511627776 bytes of stack for each thread",
                "unset RUST_MIN_STACK",
            ),
        ];
        for (limits, what, help) in rows {
            let shortages = limits.shortages(0, 64 << 20);
            assert_eq!(shortages.len(), 1, "{shortages:?}");
            assert!(shortages[0].contains(what), "{shortages:?}");
            assert!(shortages[0].contains(help), "{shortages:?}");
        }
        let long = ample.shortages(1000, 64 << 20);
        assert!(long[0].contains("needs 3512"), "{long:?}");
    }
}

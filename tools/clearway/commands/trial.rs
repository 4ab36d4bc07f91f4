//! What `demo` and `bench` share: a node in this process, a load against it, a replay of its log.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clearway_load::cluster::{Members, tag};
use clearway_load::driver::{self, Plan, clock_us};
use clearway_load::machine::{Disk, Machine};
use clearway_load::measure::Tally;
use clearway_load::report::{
    self, Checks, LoadShape, REPORT_VERSION, Report, StageTimes, WorkloadInfo,
};
use clearway_load::sign::{Share, SignedStream, StreamShape, sign};
use clearway_load::stage_cpu::{Meter, Spent};
use clearway_load::worker::{Job, Source, Workers};
use clearway_load::workload::Workload;
use clearway_node::Node;
use clearway_node::config::{self, NodeConfig};
use clearway_node::genesis_file;
use clearway_node::keystore::{self, Keys, Protection, ValidatorKeys};
use clearway_node::read;
use clearway_replay::Options;
use clearway_types::genesis::{Genesis, HexBytes};
use clearway_types::units::TimeMs;

use crate::backends;
use crate::commands::node::init::now;
use crate::commands::{log, replay};
use crate::failure::{Failure, Kind, OrFail as _};
use crate::signals::Scratch;
use crate::{limits, ui};

/// Time between the start signal and the first due payment of an open loop.
const START_DELAY: Duration = Duration::from_millis(200);

/// One run.
pub(crate) struct Trial {
    /// What is cleared.
    pub(crate) source: Source,
    /// Seed of the members' keys, and of the workload where it is generated.
    pub(crate) seed: u64,
    /// Connections of each load process.
    pub(crate) connections: usize,
    /// Streams in flight on a connection, closed loop.
    pub(crate) streams_in_flight: usize,
    /// Envelopes on a stream.
    pub(crate) stream_len: usize,
    /// Payments a second, or as fast as answers come.
    pub(crate) rate: Option<f64>,
    /// Load processes; 0 for threads of this one.
    pub(crate) processes: usize,
    /// One stream after the other.
    pub(crate) ordered: bool,
    /// Whether payers send hints with their signatures.
    pub(crate) hints: bool,
    /// Node settings, as `--set` gives them.
    pub(crate) settings: Vec<(String, String)>,
    /// Folder to use and keep; a temporary one without it.
    pub(crate) keep: Option<PathBuf>,
}

/// What is needed while the node runs.
struct Stand<'a> {
    trial: &'a Trial,
    workload: &'a Workload,
    members: &'a Members,
    genesis: &'a Genesis,
    now: TimeMs,
}

/// What the node said of itself before it stopped.
struct NodeFigures {
    backend: String,
    signatures_verified: u64,
    hints_used: u64,
    signatures_fallback: u64,
    height: u64,
    /// During the load.
    stage_times: Vec<StageTimes>,
}

/// What the workers of each stage have done with their time so far, along the walk.
fn stage_times(node: &Node) -> Vec<StageTimes> {
    let mut stages: Vec<StageTimes> = Vec::new();
    for (stage, _, [busy, wait, backpressure]) in node.figures().worker_times() {
        if stages.last().is_none_or(|last| last.stage != stage) {
            stages.push(StageTimes {
                stage: stage.to_owned(),
                ..StageTimes::default()
            });
        }
        let times = stages.last_mut().expect("one has just been put in");
        times.busy += busy.as_secs_f64();
        times.wait += wait.as_secs_f64();
        times.backpressure += backpressure.as_secs_f64();
    }
    stages
}

impl Trial {
    /// Clears the workload, stops the node, replays its log.
    pub(crate) fn run(&self) -> Result<Report, Failure> {
        if let Source::Files { payments, accounts } = &self.source {
            for path in [payments, accounts] {
                let refused = |error| format!("{}: {error}", path.display());
                read::refuse_device(path).map_err(|error| Failure::usage(refused(error)))?;
            }
        }
        let place = Place::new(self.keep.as_deref())?;
        let dir = place.path();
        let config = node_config(dir, &self.settings)?;
        limits::check(&config)?;
        let disk = Disk::measure(dir)?;
        ui::note(&format!(
            "data     {} ({})",
            dir.display(),
            disk.durability()
        ));
        let workload = self.source.load()?;
        ui::note(&format!(
            "workload {}, {} accounts, {} payments",
            workload.name,
            workload.accounts.len(),
            workload.payments.len()
        ));
        let members = Members::new(self.seed);
        let validator = ValidatorKeys::generate()?;
        let time = now()?;
        let row = validator.genesis_row("validator-1", "127.0.0.1:7400");
        let genesis = members.genesis(&workload, vec![row], time);
        let stand = Stand {
            trial: self,
            workload: &workload,
            members: &members,
            genesis: &genesis,
            now: time,
        };
        let (tally, spent, figures) = stand.clear(&config, &validator)?;
        if self.keep.is_some() {
            keep(dir, &genesis, validator)?;
        }
        let (reader, log_end) = log::open(&config.data_dir, &genesis)?;
        let timed = replay::replay(&reader, &genesis, &Options::default())?;
        let mut report = stand.report(&config, disk, &tally, spent, &figures, &timed);
        // A node that was stopped in order leaves nothing above its watermark.
        report.checks.replay_ok &= log_end.clean();
        if let Some(difference) = timed.summary.difference {
            ui::note(&difference.to_string());
        }
        Ok(report)
    }

    /// Envelopes on a stream: as asked, or what is due in a few milliseconds of an open loop.
    fn stream_len(&self) -> usize {
        let connections = self.connections * self.processes.max(1);
        let group = self.source.group();
        match self.rate {
            Some(rate) => {
                let len = driver::open_loop_stream_len(rate, connections, self.stream_len);
                len.next_multiple_of(group)
            }
            None => self.stream_len,
        }
    }

    fn stream_shape(&self) -> StreamShape {
        StreamShape {
            len: self.stream_len(),
            hints: self.hints,
        }
    }
}

impl Stand<'_> {
    fn clear(
        &self,
        config: &NodeConfig,
        validator: &ValidatorKeys,
    ) -> Result<(Tally, Spent, NodeFigures), Failure> {
        let parts = backends::parts_of(config)?;
        let streams = match self.trial.processes {
            0 => self.sign_here(),
            _ => Vec::new(),
        };
        let node = Node::start_with(config, self.genesis, validator, parts);
        let node = node.or_fail(Kind::Failed)?;
        let plan = Plan {
            connections: self.trial.connections,
            streams_in_flight: self.trial.streams_in_flight,
            rate: self.trial.rate,
            server: node.addresses().door,
            server_key: HexBytes(validator.connection.public_key()),
            udp_payload_bytes: config.door.udp_payload_bytes_max,
        };
        let before = stage_times(&node);
        let offered = match self.trial.processes {
            0 => self.offer_here(streams, &plan),
            count => self.offer_apart(count, &plan),
        };
        let mut stage_times = stage_times(&node);
        for (now, before) in stage_times.iter_mut().zip(&before) {
            now.busy -= before.busy;
            now.wait -= before.wait;
            now.backpressure -= before.backpressure;
        }
        let shown = node.figures();
        let figures = NodeFigures {
            backend: shown.backend.name().to_owned(),
            signatures_verified: shown.verify.signatures_verified.value(),
            hints_used: shown.verify.hints_right.value(),
            signatures_fallback: shown.verify.signatures_fallback.value(),
            height: node.durable_height().0,
            stage_times,
        };
        drop(shown);
        let stopped = node.stop();
        let (tally, spent) = offered?;
        stopped.or_fail(Kind::Failed)?;
        Ok((tally, spent, figures))
    }

    fn sign_here(&self) -> Vec<SignedStream> {
        let start = Instant::now();
        let (tag, shape) = (tag(self.genesis), self.trial.stream_shape());
        let (workload, members) = (self.workload, self.members);
        let streams = sign(workload, members, tag, self.now, shape, Share::WHOLE);
        ui::note(&format!(
            "signed   {} payments in {:.1} s",
            self.workload.payments.len(),
            start.elapsed().as_secs_f64()
        ));
        streams
    }

    /// Threads of this process are the clients.
    fn offer_here(
        &self,
        streams: Vec<SignedStream>,
        plan: &Plan,
    ) -> Result<(Tally, Spent), Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("load")
            .enable_all()
            .build()?;
        let clients = runtime
            .block_on(driver::connect(plan, self.members, 0))
            .or_fail(Kind::Failed)?;
        let bar = ui::progress(self.workload.payments.len() as u64, "cleared");
        let meter = Meter::start();
        let start_us = clock_us() + u64::try_from(START_DELAY.as_micros()).unwrap_or(0);
        let progress = |count: usize| bar.inc(count as u64);
        let offered = runtime.block_on(driver::offer(&clients, streams, plan, start_us, &progress));
        let spent = meter.stop();
        bar.finish_and_clear();
        for client in &clients {
            runtime.block_on(client.close());
        }
        Ok((offered.or_fail(Kind::Failed)?, spent))
    }

    /// Processes of their own are the clients; each signs its share.
    fn offer_apart(&self, count: usize, plan: &Plan) -> Result<(Tally, Spent), Failure> {
        let jobs: Vec<Job> = (0..count)
            .map(|part| Job {
                source: self.trial.source.clone(),
                key_seed: self.trial.seed,
                genesis: HexBytes(self.genesis.hash().0),
                now: self.now,
                shape: self.trial.stream_shape(),
                share: Share { part, of: count },
                plan: plan.clone(),
            })
            .collect();
        let program = std::env::current_exe()?;
        let workers = Workers::start(&program, &["load-worker"], &jobs).or_fail(Kind::Failed)?;
        ui::note(&format!("{count} load processes have signed their shares"));
        let meter = Meter::start();
        let start_us = clock_us() + u64::try_from(START_DELAY.as_micros()).unwrap_or(0);
        let (tally, apart) = workers.go(start_us).or_fail(Kind::Failed)?;
        let mut spent = meter.stop();
        spent.usage.cpu_seconds += apart.cpu_seconds;
        spent.usage.bytes_written += apart.bytes_written;
        spent.stages.insert("load".to_owned(), apart.cpu_seconds);
        Ok((tally, spent))
    }

    fn report(
        &self,
        config: &NodeConfig,
        disk: Disk,
        tally: &Tally,
        spent: Spent,
        figures: &NodeFigures,
        timed: &replay::Timed,
    ) -> Report {
        let (trial, summary) = (self.trial, &timed.summary);
        let payments = self.workload.payments.len() as u64;
        // What members were told must be what the log says, and nobody may be left without answer.
        let told =
            tally.settled() == summary.settled && tally.settled() + tally.rejected() == payments;
        let mut report = Report {
            version: REPORT_VERSION,
            tps_final: 0.0,
            sent: 0,
            copies_sent: tally.copies_sent,
            settled: 0,
            rejected: 0,
            codes: BTreeMap::new(),
            response_us: report::Percentiles::default(),
            service_us: report::Percentiles::default(),
            seconds: 0.0,
            cpu_seconds: spent.usage.cpu_seconds,
            stage_cpu_seconds: spent.stages,
            stage_times: figures.stage_times.clone(),
            spectrum: None,
            timeline: None,
            bytes_written: spent.usage.bytes_written,
            memory_peak_bytes: spent.usage.memory_peak_bytes,
            nodes: 1,
            backend: figures.backend.clone(),
            durability: disk.durability(),
            checks: Checks {
                conserved: summary.conserved,
                roots_equal: summary.roots_equal() && figures.height <= summary.height.0,
                replay_ok: summary.ok() && told,
            },
            signatures_verified: figures.signatures_verified,
            hints_used: figures.hints_used,
            signatures_fallback: figures.signatures_fallback,
            height: summary.height.0,
            balances_root: summary.balances_root.clone(),
            replay_seconds: timed.seconds,
            seed: trial.seed,
            arguments: std::env::args_os()
                .skip(1)
                .map(|argument| argument.to_string_lossy().into_owned())
                .collect(),
            load: LoadShape {
                rate: trial
                    .rate
                    .map_or_else(|| "max".to_owned(), |rate| rate.to_string()),
                connections: trial.connections * trial.processes.max(1),
                streams_in_flight: trial.streams_in_flight,
                stream_len: trial.stream_len(),
                processes: trial.processes,
                ordered: trial.ordered,
                hints: trial.hints,
            },
            workload: WorkloadInfo {
                name: self.workload.name.clone(),
                accounts: self.workload.accounts.len(),
                payments: self.workload.payments.len(),
                hash: self.workload.digest().to_string(),
                rows: self.workload.rows,
            },
            commit: report::COMMIT.to_owned(),
            machine: Machine::detect(),
            disk,
            config: config::SETTINGS
                .iter()
                // A run makes these two itself.
                .filter(|setting| !["genesis", "keys"].contains(&setting.key))
                .map(|setting| (setting.key.to_owned(), (setting.show)(config)))
                .collect(),
        };
        report.set_tally(tally);
        report
    }
}

/// What a run leaves in the folder that it is to keep.
const KEPT: [&str; 3] = [DATA, GENESIS, VALIDATOR];
const DATA: &str = "data";
const GENESIS: &str = "genesis.toml";
const VALIDATOR: &str = "validator.insecure-plaintext";

/// Where the node's data lies.
enum Place<'a> {
    Kept(&'a Path),
    Scratch(Scratch),
}

impl<'a> Place<'a> {
    fn new(keep: Option<&'a Path>) -> Result<Self, Failure> {
        let Some(dir) = keep else {
            return Scratch::new().map(Self::Scratch);
        };
        for name in KEPT {
            let path = dir.join(name);
            if path.symlink_metadata().is_ok() {
                let message = format!(
                    "--keep {}: {name} exists already and nothing is overwritten; name a folder to \
                     fill",
                    dir.display()
                );
                return Err(Failure::new(Kind::Failed, message));
            }
        }
        std::fs::create_dir_all(dir).map_err(|error| {
            let message = format!("--keep {}: {error}; name a folder to fill", dir.display());
            Failure::new(Kind::Failed, message)
        })?;
        Ok(Self::Kept(dir))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(dir) => dir,
            Self::Scratch(scratch) => scratch.path(),
        }
    }
}

/// The settings of a node on any free port with its data in `dir`.
pub(crate) fn node_config(
    dir: &Path,
    settings: &[(String, String)],
) -> Result<NodeConfig, Failure> {
    let mut flags = vec![("preset".to_owned(), "bench".to_owned())];
    flags.extend(settings.iter().cloned());
    let loaded = config::parse("", config::environment()?, &flags)?;
    ui::note_all(&loaded.warnings);
    let mut config = loaded.config;
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    config.data_dir = dir.join(DATA);
    config.listen = any_port;
    config.admin_listen = any_port;
    Ok(config)
}

/// Leaves what `replay` and `inspect` need beside the data.
fn keep(dir: &Path, genesis: &Genesis, validator: ValidatorKeys) -> Result<(), Failure> {
    genesis_file::save(&dir.join(GENESIS), genesis)?;
    let path = dir.join(VALIDATOR);
    keystore::save(
        &path,
        &Keys::Validator(validator),
        &Protection::InsecurePlaintext,
    )?;
    ui::note(&format!("kept     {}", dir.display()));
    Ok(())
}

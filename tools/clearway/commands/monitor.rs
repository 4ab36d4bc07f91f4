//! `clearway monitor`: what a running node does now, on a terminal or as one table.

mod board;
mod change;
mod figures;
mod page;
mod sample;
mod screen;
mod terminal;
mod text;
mod view;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use self::board::{Board, Header, Link, Stage};
use self::page::Asker;
use self::text::{number, seconds, share};
use crate::commands::node::show::{CONFIG_VARIABLE, ConfigArgs};
use crate::failure::Failure;
use crate::ui::{self, Output};

/// Longest time between two looks, seconds.
const INTERVAL_S_MAX: u64 = 3600;

#[derive(clap::Args, Debug)]
#[command(after_help = "\
Keys: q quits, ? explains keys and columns, 1 to 4 choose a tab, s sorts, space pauses. Where \
there is no terminal, give --once: the node, its stages and its links as one table; with --json \
all tabs.")]
pub(crate) struct Args {
    /// Address of the node's operators' page; without it `admin_listen` of the configuration
    #[arg(long, value_name = "ADDRESS", value_parser = parse_target)]
    target: Option<SocketAddr>,
    /// Configuration file of the node; without it only variables and what is built in
    #[arg(long, value_name = "FILE", env = CONFIG_VARIABLE)]
    config: Option<PathBuf>,
    /// Seconds between two looks at the node
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 1,
        value_parser = clap::value_parser!(u64).range(1..=INTERVAL_S_MAX)
    )]
    interval: u64,
    /// Look twice, an interval apart, and print what happened in between
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if args.output.json && !args.once {
        return Err(Failure::usage("--json goes with --once"));
    }
    if !args.once && !terminal::is_there() {
        let message = "the monitor draws on a terminal and hears its keys, and there is none here: \
                       give --once for one table, and --json with it for scripts";
        return Err(Failure::usage(message));
    }
    let asker = Asker::new(args.target()?)?;
    let interval = Duration::from_secs(args.interval);
    match args.once {
        true => once(&asker, interval, args.output),
        false => terminal::watch(asker, interval),
    }
}

impl Args {
    fn target(&self) -> Result<SocketAddr, Failure> {
        if let Some(target) = self.target {
            return Ok(target);
        }
        let config = self.config.clone();
        let read = ConfigArgs {
            config,
            settings: Vec::new(),
        };
        let target = read.load()?.config.admin_listen;
        match target.port() {
            0 => Err(Failure::usage(
                "`admin_listen` leaves the port to the system: give --target with the address that \
                 `clearway node run` told as `admin`",
            )),
            _ => Ok(target),
        }
    }
}

fn parse_target(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse::<SocketAddr>().ok();
    let address = address.filter(|address| address.port() != 0);
    address.ok_or_else(|| "write an IP address and a port, for example 127.0.0.1:7401".to_owned())
}

/// A board with the node that it is of.
#[derive(Serialize)]
struct Told {
    target: SocketAddr,
    #[serde(flatten)]
    board: Board,
}

fn once(asker: &Asker, interval: Duration, output: Output) -> Result<(), Failure> {
    let before = asker.sample()?;
    std::thread::sleep(interval);
    let now = asker.sample()?;
    let told = Told {
        target: asker.target(),
        board: Board::new(Some(&before), &now),
    };
    output.result("monitor", &told, || {
        let board = &told.board;
        let parts = [
            node_rows(told.target, &board.header),
            stage_table(&board.stages),
            link_table(&board.links),
        ];
        parts.join("\n\n")
    })
}

fn node_rows(target: SocketAddr, header: &Header) -> String {
    let per_second = |rate| text::shown(rate, text::Unit::PerSecond);
    let conserved = match header.conserved {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "-",
    };
    let finality = format!(
        "{}; since start p50 {}, p99 {}",
        seconds(header.finality_s),
        seconds(header.finality_p50_s),
        seconds(header.finality_p99_s),
    );
    let (version, backend) = (&header.version, &header.backend);
    ui::rows([
        (
            "node",
            format!("{target}, clearway {version}, verifies by {backend}"),
        ),
        ("state", header.readiness.clone()),
        ("conserved", conserved.to_owned()),
        ("height", number(header.height)),
        ("payments", per_second(header.payments_per_s)),
        ("drops", per_second(header.drops_per_s)),
        ("finality", finality),
        ("in flight", number(header.in_flight)),
    ])
}

fn stage_table(stages: &[Stage]) -> String {
    let row = |stage: &Stage| {
        let threads = match stage.threads {
            0 => "-".to_owned(),
            threads => threads.to_string(),
        };
        let [busy, wait, pressure] = [stage.busy, stage.wait, stage.back_pressure].map(share);
        let rate = number(stage.rate_per_s);
        let (name, of) = (stage.stage.clone(), stage.of.to_owned());
        vec![
            name,
            threads,
            busy,
            wait,
            pressure,
            rate,
            of,
            seconds(stage.mean_s),
        ]
    };
    let head = [
        "stage",
        "threads#",
        "busy#",
        "wait#",
        "back-pressure#",
        "rate /s#",
        "of",
        "mean#",
    ];
    ui::table(&head, stages.iter().map(row))
}

fn link_table(links: &[Link]) -> String {
    let row = |link: &Link| {
        let figures = [
            number(link.depth),
            number(link.capacity),
            number(link.rate_per_s),
            number(link.waits_per_s),
            seconds(link.wait_mean_s),
            number(link.drops_per_s),
        ];
        [vec![link.link.clone()], figures.to_vec()].concat()
    };
    let head = [
        "link",
        "depth#",
        "room#",
        "messages /s#",
        "waits /s#",
        "mean wait#",
        "drops /s#",
    ];
    ui::table(&head, links.iter().map(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_an_address_with_a_port() {
        for (text, good) in [
            ("127.0.0.1:7401", true),
            ("[::1]:7401", true),
            ("127.0.0.1", false),
            ("127.0.0.1:0", false),
            ("localhost:7401", false),
            ("", false),
        ] {
            let parsed = parse_target(text);
            assert_eq!(parsed.is_ok(), good, "{text}");
            if let Err(error) = parsed {
                assert!(error.contains("127.0.0.1:7401"), "{error}");
            }
        }
    }

    #[test]
    fn one_table_has_every_stage_and_every_link() {
        let [before, after] = board::tests::samples();
        let board = Board::new(Some(&before), &after);
        let stages = stage_table(&board.stages);
        let links = link_table(&board.links);
        for row in clearway_node::topology::STAGES {
            for threads in row.threads {
                assert!(
                    stages.contains(threads.name),
                    "{} in {stages}",
                    threads.name
                );
            }
        }
        for row in clearway_node::topology::LINKS {
            assert!(links.contains(row.name), "{} in {links}", row.name);
        }
        let node = node_rows("127.0.0.1:7401".parse().expect("an address"), &board.header);
        assert!(node.contains("conserved") && node.contains("yes"), "{node}");
    }
}

//! `clearway doctor`: what this machine has for Clearway, what it lacks, and how to get it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clearway_load::machine::{Disk, Machine};
use clearway_node::backends::{self, Adapter};
use clearway_node::config::NodeConfig;
use serde::Serialize;

use crate::failure::Failure;
use crate::limits::{self, Limits};
use crate::share;
use crate::ui::{self, Output};

/// Slowest median sync that keeps the promised latency, microseconds.
const SYNC_US_GOOD: u64 = 2000;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Folder whose disk is measured
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    #[command(flatten)]
    output: Output,
}

#[derive(Serialize)]
struct Findings {
    machine: Machine,
    cpu_features: Vec<&'static str>,
    backends: Vec<&'static str>,
    adapters: Vec<Adapter>,
    /// `None` where the limit of file sizes is too low to measure it.
    disk: Option<Disk>,
    open_files_max: Option<u64>,
    shares: Shares,
    /// Limits of the system within which no node starts.
    shortages: Vec<String>,
    advice: Vec<String>,
}

/// Cores that work beside payments may keep busy by default.
#[derive(Serialize)]
struct Shares {
    /// What a node's questions and feeds may: `door.question_cores`.
    questions: usize,
    /// `replay --cores`.
    replay: usize,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let limits = Limits::raised();
    let segment_bytes = NodeConfig::default().store.segment_bytes;
    let disk = measured(&args.dir)?;
    let mut findings = Findings {
        machine: Machine::detect(),
        cpu_features: cpu_features(),
        backends: crate::commands::verify::backends_or_note(),
        adapters: backends::adapters(),
        disk,
        open_files_max: limits.open_files,
        shares: shares(),
        shortages: limits.shortages(limits::segments(&args.dir), segment_bytes),
        advice: Vec::new(),
    };
    findings.advice = advice(&findings);
    args.output.result("doctor", &findings, || shown(&findings))
}

/// The disk of a folder; none where a file may not grow, which is a shortage of its own.
fn measured(dir: &Path) -> Result<Option<Disk>, Failure> {
    match Disk::measure(dir) {
        Ok(disk) => Ok(Some(disk)),
        Err(error) if error.kind() == ErrorKind::FileTooLarge => Ok(None),
        Err(error) => {
            let message = format!(
                "--dir {}: {error}; name a folder that can be written",
                dir.display()
            );
            Err(Failure::of_file(&error, message))
        }
    }
}

fn advice(findings: &Findings) -> Vec<String> {
    let mut advice = findings.shortages.clone();
    if let Some(disk) = &findings.disk {
        advice.extend(advice_on_disk(disk));
    }
    if findings.machine.cores < 2 {
        advice.push("one core: the stages take turns; two or more let them overlap".into());
    }
    advice
}

fn advice_on_disk(disk: &Disk) -> Vec<String> {
    let mut advice = Vec::new();
    if !disk.durable {
        advice.push(format!(
            "{} keeps data in memory: put data_dir on a disk before you promise durability",
            disk.file_system
        ));
    }
    if disk.sync_us_p50 > SYNC_US_GOOD {
        advice.push(format!(
            "a sync takes {} us: answers wait for it; use a disk with a protected write cache",
            disk.sync_us_p50
        ));
    }
    advice
}

fn cores(count: usize) -> String {
    match count {
        1 => "1 core".to_owned(),
        count => format!("{count} cores"),
    }
}

fn shown(findings: &Findings) -> String {
    let machine = &findings.machine;
    let of_disk = |show: fn(&Disk) -> String| {
        let disk = findings.disk.as_ref();
        disk.map_or_else(|| "not measured: files may not grow".to_owned(), show)
    };
    let mut text = ui::rows([
        ("processor", machine.cpu.clone()),
        ("cores", machine.cores.to_string()),
        ("features", findings.cpu_features.join(" ")),
        ("backends", findings.backends.join(" ")),
        ("memory", format!("{} MiB", machine.memory_bytes >> 20)),
        ("kernel", machine.kernel.clone()),
        ("file system", of_disk(Disk::durability)),
        (
            "sync p50",
            of_disk(|disk| format!("{} us", disk.sync_us_p50)),
        ),
        (
            "sync max",
            of_disk(|disk| format!("{} us", disk.sync_us_max)),
        ),
        (
            "open files",
            findings
                .open_files_max
                .map_or("no limit".into(), |limit| limit.to_string()),
        ),
        (
            "shares",
            format!(
                "questions and feeds {}, replay {} at low priority",
                cores(findings.shares.questions),
                cores(findings.shares.replay)
            ),
        ),
    ]);
    text.push_str("\n\n");
    if findings.adapters.is_empty() {
        text.push_str("No GPU: no Vulkan driver, or none that sees an adapter.");
    } else {
        let head = ["gpu#", "adapter", "driver", ""];
        let rows = findings.adapters.iter().map(|adapter| {
            vec![
                adapter.index.to_string(),
                adapter.name.clone(),
                adapter.driver.clone(),
                adapter.verdict.clone(),
            ]
        });
        text.push_str(&ui::table(&head, rows));
    }
    if findings.advice.is_empty() {
        text.push_str("\n\nNothing to improve.");
    }
    for advice in &findings.advice {
        text.push_str("\n\n* ");
        text.push_str(advice);
    }
    text
}

fn shares() -> Shares {
    let cores = share::cores_allowed();
    Shares {
        questions: NodeConfig::default().door.question_cores_of(cores),
        replay: share::Default::Half.of(cores),
    }
}

#[cfg(target_arch = "x86_64")]
fn cpu_features() -> Vec<&'static str> {
    let all = [
        ("sha", std::is_x86_feature_detected!("sha")),
        ("avx2", std::is_x86_feature_detected!("avx2")),
        ("bmi2", std::is_x86_feature_detected!("bmi2")),
        ("adx", std::is_x86_feature_detected!("adx")),
        ("avx512f", std::is_x86_feature_detected!("avx512f")),
        ("avx512vl", std::is_x86_feature_detected!("avx512vl")),
        ("avx512ifma", std::is_x86_feature_detected!("avx512ifma")),
    ];
    all.into_iter()
        .filter(|(_, has)| *has)
        .map(|(name, _)| name)
        .collect()
}

#[cfg(target_arch = "aarch64")]
fn cpu_features() -> Vec<&'static str> {
    let all = [
        ("neon", std::arch::is_aarch64_feature_detected!("neon")),
        ("sha2", std::arch::is_aarch64_feature_detected!("sha2")),
        ("sha512", std::arch::is_aarch64_feature_detected!("sha3")),
    ];
    all.into_iter()
        .filter(|(_, has)| *has)
        .map(|(name, _)| name)
        .collect()
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn cpu_features() -> Vec<&'static str> {
    Vec::new()
}

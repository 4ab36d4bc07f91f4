//! The command line as a whole: every command.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use clearway_load::report::VERSION;

use crate::commands::{
    account, approvals, bench, completions, demo, doctor, exit_codes, generate, inspect, keys,
    ledger, load_worker, lookup, member, monitor, node, pay, profile, replay, resend, submit,
    verify,
};
use crate::failure::{Failure, Kind};
use crate::{drivers, streams, ui};

/// Clearing of signed payments between institutions: verified, ordered, executed, stored, proven
#[derive(Parser, Debug)]
#[command(
    name = "clearway",
    version = VERSION,
    propagate_version = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    #[command(about = demo::about())]
    Demo(demo::Args),
    /// Measure: a load against a node in this process, then a replay of what it stored
    Bench(Box<bench::Bench>),
    /// Check a stored history again from its first block
    Replay(replay::Args),
    /// Verify Ed25519 signatures by the rule of this cluster (ZIP-215)
    Verify(verify::Args),
    /// Look into a stopped or running node's log
    #[command(subcommand)]
    Inspect(inspect::Command),
    Profile(profile::Args),
    /// What this machine has for Clearway, what it lacks, and how to get it
    Doctor(doctor::Args),
    /// Watch a running node: its stages, its links, its figures
    Monitor(monitor::Args),
    #[command(subcommand)]
    Node(node::Command),
    #[command(subcommand)]
    Keys(keys::Command),
    #[command(subcommand)]
    Gen(generate::Command),
    #[command(subcommand)]
    Member(member::Command),
    #[command(subcommand)]
    Account(account::Command),
    #[command(subcommand)]
    Ledger(ledger::Command),
    /// Show the records that wait for further operators
    Approvals(approvals::Args),
    /// Bring money into being (signed by the ledger's issuer)
    Issue(ledger::Supply),
    /// Take money out of being, from an account of the issuer's own
    Redeem(ledger::Supply),
    /// Move money between two accounts
    Pay(pay::Pay),
    /// Reserve money until it is posted, voided or its time is over
    Hold(pay::Hold),
    /// Settle all or part of a hold
    Post(pay::Post),
    /// Free a hold
    Void(pay::Void),
    #[command(about = pay::about_return())]
    Return(pay::Return),
    /// Ask what became of a signed instruction, by the identifier printed before it was sent
    Lookup(lookup::Args),
    /// Send signed instructions whose end is not known again, as the same bytes
    Resend(resend::Args),
    /// Send envelopes that were signed elsewhere, exactly as they stand in a file
    Submit(submit::Args),
    /// What each exit code means
    ExitCodes(exit_codes::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
    /// A load process of `bench --processes`; speaks on stdin and stdout
    #[command(hide = true)]
    LoadWorker,
}

impl Command {
    /// Whether GPU drivers may be loaded.
    fn looks_for_devices(&self) -> bool {
        match self {
            Self::Demo(_) | Self::Bench(_) | Self::Replay(_) | Self::Verify(_) => true,
            Self::Doctor(_) => true,
            Self::Node(command) => command.looks_for_devices(),
            _ => false,
        }
    }
}

/// Reads the arguments, does what they say and tells how it ended.
pub(crate) fn run() -> u8 {
    let parsed = Cli::command().try_get_matches();
    let read = parsed.and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (done, json) = match read {
        Ok((cli, matches)) => (obey(cli.command), wants_json(&matches)),
        Err(error) if error.use_stderr() => {
            ui::note(shown(&error, &std::io::stderr()).trim_end());
            note_empty_variables();
            return wrong_usage(&error);
        }
        // Help and version are results.
        Err(error) => (ui::say(shown(&error, &std::io::stdout()).trim_end()), false),
    };
    match done {
        Ok(()) => 0,
        Err(failure) => failure.report(json),
    }
}

/// Whether results go to standard output as JSON.
fn wants_json(matches: &ArgMatches) -> bool {
    let mut matches = matches;
    while let Some((_, inner)) = matches.subcommand() {
        matches = inner;
    }
    match matches.try_get_one::<bool>("json") {
        Ok(switch) => switch.copied().unwrap_or(false),
        // A command without it, or one whose report may go to a file.
        Err(_) => {
            let place = matches.try_get_one::<PathBuf>("json");
            place.is_ok_and(|place| place.is_some_and(|place| place == Path::new("-")))
        }
    }
}

/// Names variables that are set to nothing: each counts as its switch without a value, which nobody
/// has typed.
fn note_empty_variables() {
    for (name, value) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CLEARWAY_") && value.is_empty() {
            ui::note(&format!(
                "{name} is set to nothing: unset it, or give it a value"
            ));
        }
    }
}

/// Ends as a command does whose arguments are not understood, which people have been told.
fn wrong_usage(error: &clap::Error) -> u8 {
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let words = words.take_while(|word| word != "--");
    match named_stdout(&words.collect::<Vec<_>>()) {
        true => usage_failure(&error.render().to_string()).tell(),
        false => Kind::Usage as u8,
    }
}

/// As [`wants_json`], of words that are not understood.
fn named_stdout(words: &[String]) -> bool {
    let mut command = Cli::command();
    for word in words {
        if let Some(inner) = command.find_subcommand(word) {
            command = inner.clone();
        }
    }
    let mut switches = command.get_arguments();
    let json = switches.find(|switch| switch.get_id() == "json");
    let names_file = json.is_some_and(|json| json.get_action().takes_values());
    let nexts = words.iter().skip(1).map(Some).chain([None]);
    words
        .iter()
        .zip(nexts)
        .any(|(word, next)| match word.as_str() {
            "--json=-" => true,
            // What follows and is no switch is a file, where the command's report may go to one.
            "--json" => !names_file || next.is_none_or(|next| next.starts_with('-')),
            _ => false,
        })
}

/// What clap says, on one line: what is wrong, and how the command is written.
fn usage_failure(said: &str) -> Failure {
    let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let said = said.trim_start_matches("error:");
    let usage_at = said.find("Usage:");
    let (wrong, usage) = match usage_at.or_else(|| said.find("For more information")) {
        Some(at) => said.split_at(at),
        None => (said, "try '--help'"),
    };
    Failure::usage(line(wrong)).remedy(line(usage))
}

fn shown(error: &clap::Error, stream: &impl IsTerminal) -> String {
    let text = error.render();
    match streams::is_coloured(stream) {
        true => text.ansi().to_string(),
        false => text.to_string(),
    }
}

fn obey(command: Command) -> Result<(), Failure> {
    if command.looks_for_devices() {
        drivers::hush();
    }
    match command {
        Command::Demo(args) => demo::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Inspect(command) => inspect::run(&command),
        Command::Profile(args) => profile::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Monitor(args) => monitor::run(&args),
        Command::Node(command) => node::run(&command),
        Command::Keys(command) => keys::run(&command),
        Command::Gen(command) => generate::run(&command),
        Command::Member(command) => member::run(&command),
        Command::Account(command) => account::run(&command),
        Command::Ledger(command) => ledger::run(&command),
        Command::Approvals(args) => approvals::run(&args),
        Command::Issue(args) => ledger::issue(&args),
        Command::Redeem(args) => ledger::redeem(&args),
        Command::Pay(args) => pay::pay(&args),
        Command::Hold(args) => pay::hold(&args),
        Command::Post(args) => pay::post(&args),
        Command::Void(args) => pay::void(&args),
        Command::Return(args) => pay::give_back(&args),
        Command::Lookup(args) => lookup::run(&args),
        Command::Resend(args) => resend::run(&args),
        Command::Submit(args) => submit::run(&args),
        Command::ExitCodes(args) => exit_codes::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::LoadWorker => load_worker::run(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    /// A variable that a command reads must not be taken for a mistyped setting by another.
    #[test]
    fn every_variable_that_a_command_reads_is_known_to_the_configuration() {
        fn check(command: &clap::Command) -> usize {
            let variables = command.get_arguments().filter_map(|arg| arg.get_env());
            let mut count = 0;
            for variable in variables {
                let name = variable.to_str().expect("a name is text");
                assert!(clearway_node::config::DOCUMENTED.contains(&name), "{name}");
                count += 1;
            }
            count + command.get_subcommands().map(check).sum::<usize>()
        }
        assert!(check(&Cli::command()) >= 3);
    }

    #[test]
    fn the_help_says_what_the_demonstration_clears() {
        let help = Cli::command().render_long_help().to_string();
        let about = demo::about();
        assert!(help.contains(&about), "{help} lacks {about:?}");
    }

    #[test]
    fn wrong_usage_is_told_as_json_where_the_result_would_have_been() {
        let rows = [
            ("pay --json 2.1 --oops", true),
            ("pay --oops", false),
            ("fly --json", true),
            ("bench --json --oops", true),
            ("bench --json - --oops", true),
            ("bench --json=- --oops", true),
            ("bench --json report.json --oops", false),
            ("bench --json=report.json --oops", false),
            ("bench hash --json x --oops", false),
            ("bench compare a --json b --oops", true),
        ];
        for (line, expected) in rows {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(named_stdout(&words), expected, "{line}");
        }
    }

    #[test]
    fn what_to_do_about_a_wrong_call_stands_beside_what_is_wrong_and_not_in_it() {
        for (line, wrong, remedy) in [
            ("lookup 12 --key k", "is no identifier", "try '--help'"),
            ("fly", "unrecognized subcommand", "Usage: clearway"),
            ("pay 2.1", "were not provided", "Usage: clearway pay"),
        ] {
            let words = ["clearway"].into_iter().chain(line.split(' '));
            let error = Cli::command().try_get_matches_from(words).expect_err(line);
            let said = usage_failure(&error.to_string()).to_string();
            let (before, after) = said.split_at(said.find(remedy).expect(line));
            assert!(before.contains(wrong), "{said}");
            for twice in ["--help", "Usage:"] {
                assert!(!before.contains(twice), "{said}");
                assert!(after.matches(twice).count() <= 1, "{said}");
            }
        }
    }

    #[test]
    fn json_on_stdout_is_told_from_a_report_in_a_file() {
        let rows = [
            ("doctor --json", true),
            ("doctor", false),
            ("node config --json", true),
            ("bench --json", true),
            ("bench --json -", true),
            ("bench --json report.json", false),
            ("bench", false),
            ("bench compare a b --json", true),
            ("bench hash --json x", false),
            ("completions bash", false),
        ];
        for (line, expected) in rows {
            let words = ["clearway"].into_iter().chain(line.split(' '));
            let matches = Cli::command().try_get_matches_from(words);
            assert_eq!(
                wants_json(&matches.expect("understood")),
                expected,
                "{line}"
            );
        }
    }
}

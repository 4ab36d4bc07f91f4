//! `clearway node config`: every setting, its value and where it comes from.

use std::path::{Path, PathBuf};

use clearway_node::config::{self, ConfigError, Loaded, SETTINGS};
use serde::Serialize;

use crate::commands::bench::parse_setting;
use crate::failure::{Failure, is_named_by};
use crate::ui::{self, Output};

/// The variable that names the configuration where no switch does.
pub(crate) const CONFIG_VARIABLE: &str = "CLEARWAY_CONFIG";

/// Which configuration.
#[derive(clap::Args, Debug)]
pub(crate) struct ConfigArgs {
    /// Configuration file; without it only variables, flags and what is built in
    #[arg(long, value_name = "FILE", env = CONFIG_VARIABLE)]
    pub(crate) config: Option<PathBuf>,
    /// One setting, for example --set verify_workers=2
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_setting)]
    pub(crate) settings: Vec<(String, String)>,
}

impl ConfigArgs {
    /// File, then variables, then flags.
    pub(crate) fn load(&self) -> Result<Loaded, Failure> {
        let variables = config::environment()?;
        let loaded = config::load(self.config.as_deref(), variables, &self.settings);
        let loaded = loaded.map_err(|error| self.failure(error))?;
        ui::note_all(&loaded.warnings);
        Ok(loaded)
    }

    /// An error of the file tells who named it: a variable, or the switch, which can name another.
    fn failure(&self, error: ConfigError) -> Failure {
        let path = self.config.as_deref().unwrap_or(Path::new(""));
        let is_of_file = error.is_of_file();
        let is_unread = matches!(error, ConfigError::Read { .. });
        let failure = Failure::from(error);
        match is_of_file {
            true if is_unread && !is_named_by(CONFIG_VARIABLE, path) => {
                failure.remedy("give an existing file with --config")
            }
            true => failure.of_variable(CONFIG_VARIABLE, path),
            false => failure,
        }
    }
}

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Also say where each value comes from
    #[arg(long)]
    origin: bool,
    #[command(flatten)]
    output: Output,
}

#[derive(Serialize)]
struct Shown {
    key: &'static str,
    value: String,
    origin: String,
    help: &'static str,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let loaded = args.config.load()?;
    let shown: Vec<Shown> = SETTINGS
        .iter()
        .map(|setting| Shown {
            key: setting.key,
            value: (setting.show)(&loaded.config),
            origin: loaded.origin(setting).to_string(),
            help: setting.help,
        })
        .collect();
    args.output.result("config", &shown, || {
        if !args.origin {
            return config::example(&loaded.config);
        }
        let rows = shown.iter().map(|setting| {
            vec![
                setting.key.to_owned(),
                setting.value.clone(),
                setting.origin.clone(),
            ]
        });
        ui::table(&["setting", "value", "origin"], rows)
    })
}

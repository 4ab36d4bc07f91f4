//! The hidden command behind `bench --processes`: a load process that speaks on stdin and stdout.

use crate::failure::{Failure, Kind};

pub(crate) fn run() -> Result<(), Failure> {
    clearway_load::worker::work(std::io::stdin().lock(), std::io::stdout().lock())
        .map_err(|error| Failure::new(Kind::Failed, error))
}

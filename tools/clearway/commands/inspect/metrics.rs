//! `clearway inspect metrics`: what each figure of the metrics page means and how wide it is.

use clearway_load::cluster::Members;
use clearway_load::workload::Generator;
use clearway_node::keystore::ValidatorKeys;
use clearway_node::{Gather as _, MetricKind, Node};
use serde::Serialize;

use crate::commands::node::init::now;
use crate::commands::trial;
use crate::failure::{Failure, Kind, OrFail as _};
use crate::limits;
use crate::signals::Scratch;
use crate::ui::{self, Output};

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    output: Output,
}

#[derive(Serialize)]
struct MetricView {
    name: String,
    kind: &'static str,
    /// Label names, comma-separated.
    labels: String,
    /// Series on this machine before the first payment.
    series: usize,
    help: String,
}

/// The figures come from a node that is started for this, so that the list is the page's own.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let dir = Scratch::new()?;
    let workload = Generator {
        account_count: 2,
        payment_count: 1,
        ..Generator::default()
    };
    let validator = ValidatorKeys::generate()?;
    let row = validator.genesis_row("validator-1", "127.0.0.1:7400");
    let genesis = Members::new(0).genesis(&workload.generate(), vec![row], now()?);
    let config = trial::node_config(dir.path(), &[])?;
    limits::check(&config)?;
    let node = Node::start(&config, &genesis, &validator).or_fail(Kind::Failed)?;
    let metrics = node.figures().gather();
    node.stop().or_fail(Kind::Failed)?;
    let views: Vec<MetricView> = metrics.iter().map(view).collect();
    args.output.result("metrics", &views, || {
        let row = |view: &MetricView| {
            let (name, labels) = (view.name.clone(), view.labels.clone());
            let series = view.series.to_string();
            vec![
                name,
                view.kind.to_owned(),
                labels,
                series,
                view.help.clone(),
            ]
        };
        let head = ["name", "kind", "labels", "series#", "help"];
        ui::table(&head, views.iter().map(row))
    })
}

fn view(metric: &clearway_node::Metric) -> MetricView {
    let (kind, suffix) = match metric.kind {
        MetricKind::Counter => ("counter", "_total"),
        MetricKind::Gauge => ("gauge", ""),
    };
    MetricView {
        name: format!("clearway_{}{suffix}", metric.name),
        kind,
        labels: metric.labels.join(","),
        series: metric.samples.len(),
        help: metric.help.clone(),
    }
}

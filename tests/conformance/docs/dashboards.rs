//! The files for Prometheus and Grafana that `deploy/dashboards` ships name metrics, labels and
//! their values that a node has, and sections of its page that there are.

mod promql;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clearway_node::config::NodeConfig;
use clearway_node::{Gather as _, Metric, MetricKind, Node};
use serde_json::Value;
use yaml_rust2::{Yaml, YamlLoader};

use self::promql::Names;
use crate::stand::Stand;

/// What Prometheus says of a target by itself.
const OF_PROMETHEUS: &str = "up";
/// What it adds to each series.
const OF_TARGETS: [&str; 2] = ["instance", "job"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/dashboards")
}

fn read(name: &str) -> String {
    let text = std::fs::read_to_string(folder().join(name));
    text.unwrap_or_else(|error| panic!("deploy/dashboards/{name}: {error}"))
}

fn yaml(name: &str) -> Yaml {
    let read = YamlLoader::load_from_str(&read(name));
    let mut documents = read.unwrap_or_else(|error| panic!("deploy/dashboards/{name}: {error}"));
    assert_eq!(documents.len(), 1, "{name} is one document");
    documents.remove(0)
}

/// The metrics of a node that runs, as it counts them.
fn metrics() -> Vec<Metric> {
    let stand = Stand::new();
    let node = Node::start(&stand.config, &stand.genesis, &stand.validator).expect("it starts");
    let metrics = node.figures().gather();
    node.stop().expect("it stops");
    metrics
}

/// The same as expressions name them.
fn names() -> Names {
    let mut names = Names::default();
    for metric in metrics() {
        let suffix = match metric.kind {
            MetricKind::Counter => "_total",
            MetricKind::Gauge => "",
        };
        let name = format!("clearway_{}{suffix}", metric.name);
        let series = metric.samples.iter().map(|(values, _)| {
            let labels = metric.labels.iter().zip(values);
            labels
                .map(|(label, value)| ((*label).to_owned(), value.clone()))
                .collect()
        });
        names.add(&name, &metric.labels, series.collect());
    }
    names.add(OF_PROMETHEUS, &[], vec![Vec::new()]);
    for label in OF_TARGETS {
        names.add_label(label);
    }
    names
}

/// A rule of alerts.yml.
struct Rule {
    name: String,
    expression: String,
    severity: String,
    summary: String,
    description: String,
    runbook: String,
}

fn rules() -> Vec<Rule> {
    let file = yaml("alerts.yml");
    let groups = file["groups"].as_vec().expect("groups");
    let rules = groups.iter().flat_map(|group| {
        assert!(group["name"].as_str().is_some(), "a group has a name");
        group["rules"].as_vec().expect("rules")
    });
    let rules = rules.map(|rule| {
        let name = rule["alert"]
            .as_str()
            .expect("a rule has a name")
            .to_owned();
        let text = |yaml: &Yaml, field: &str| {
            let found = yaml[field].as_str().unwrap_or_default().trim().to_owned();
            assert!(!found.is_empty(), "{name} has no {field}");
            found
        };
        let notes = &rule["annotations"];
        Rule {
            expression: text(rule, "expr"),
            severity: text(&rule["labels"], "severity"),
            summary: text(notes, "summary"),
            description: text(notes, "description"),
            runbook: text(notes, "runbook"),
            name,
        }
    });
    rules.collect()
}

/// Names of the sections of deploy/README.md as links have them.
fn sections() -> BTreeSet<String> {
    let page = include_str!("../../../deploy/README.md");
    let heads = page.lines().filter_map(|line| line.strip_prefix("## "));
    let heads = heads.map(|head| {
        let kept = head
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    });
    heads.collect()
}

#[test]
fn alerts_are_of_metrics_that_there_are_and_say_what_to_do() {
    let (names, sections) = (names(), sections());
    let rules = rules();
    assert!(rules.len() >= 15, "{}", rules.len());
    let unique: BTreeSet<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(unique.len(), rules.len(), "names are unique");
    for rule in &rules {
        let name = &rule.name;
        let labels = names
            .check(&rule.expression)
            .unwrap_or_else(|fault| panic!("{name}: {fault}"));
        assert!(
            ["critical", "warning"].contains(&rule.severity.as_str()),
            "{name}"
        );
        for shown in [&rule.summary, &rule.description] {
            let named = shown.split("$labels.").skip(1);
            for label in named.filter_map(|text| text.split([' ', '}']).next()) {
                assert!(
                    labels.contains(label),
                    "{name} has no label {label}: {labels:?}"
                );
            }
        }
        let section = rule.runbook.strip_prefix("deploy/README.md#");
        let section = section.unwrap_or_else(|| panic!("{name} leads to {}", rule.runbook));
        assert!(
            sections.contains(section),
            "{name}: no section {section} in {sections:?}"
        );
    }
}

#[test]
fn prometheus_scrapes_the_page_where_a_node_has_it_and_reads_the_alerts() {
    let file = yaml("prometheus.yml");
    for rules in file["rule_files"].as_vec().expect("files of rules") {
        let path = folder().join(rules.as_str().expect("a path"));
        assert!(path.is_file(), "{}", path.display());
    }
    let job = &file["scrape_configs"][0];
    let target = job["static_configs"][0]["targets"][0].as_str();
    let page = NodeConfig::default().admin_listen.to_string();
    assert_eq!(target, Some(page.as_str()));
    // Without a path it asks for /metrics.
    assert!(job["metrics_path"].is_badvalue());
    let down = format!(
        "up{{job=\"{}\"}} == 0",
        job["job_name"].as_str().expect("a name")
    );
    assert!(rules().iter().any(|rule| rule.expression == down), "{down}");
}

/// Every text under this key, however deep.
fn texts<'a>(value: &'a Value, key: &str, into: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field.as_str().filter(|_| name == key) {
                    Some(text) => into.push(text),
                    None => texts(field, key, into),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, key, into)),
        _ => {}
    }
}

#[test]
fn the_dashboard_is_of_metrics_that_there_are() {
    let names = names();
    let board: Value = serde_json::from_str(&read("clearway.json")).expect("JSON");
    let panels = board["panels"].as_array().expect("panels");
    let mut ids = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().expect("a title");
        assert!(
            ids.insert(panel["id"].as_u64()),
            "{title}: its number is another's"
        );
        let targets = panel["targets"].as_array().expect("what it shows");
        assert!(!targets.is_empty(), "{title} shows nothing");
        for target in targets {
            let expression = target["expr"].as_str().expect("an expression");
            let labels = names.check(expression);
            let labels = labels.unwrap_or_else(|fault| panic!("{title}: {fault}"));
            let legend = target["legendFormat"].as_str().unwrap_or_default();
            let shown = legend
                .split("{{")
                .skip(1)
                .filter_map(|text| text.split("}}").next());
            for label in shown {
                assert!(
                    labels.contains(label),
                    "{title}: no label {label} in {labels:?}"
                );
            }
        }
    }
    let mut queries = Vec::new();
    texts(&board["templating"], "query", &mut queries);
    let asked = queries
        .iter()
        .filter_map(|query| query.strip_prefix("label_values("));
    let asked: Vec<&str> = asked.collect();
    assert!(!asked.is_empty(), "{queries:?}");
    for query in asked {
        let (metric, label) = query
            .trim_end_matches(')')
            .split_once(", ")
            .expect("two words");
        let labels = names
            .check(metric)
            .unwrap_or_else(|fault| panic!("{query}: {fault}"));
        assert!(labels.contains(label), "{query}");
    }
}

//! Samples for the metrics page: gathered from the stages' counters each time somebody asks.

use std::fmt;
use std::sync::Arc;

use clearway_flow::metric::{Metric, MetricKind};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// A source of the figures as they are now.
pub trait Gather: fmt::Debug + Send + Sync + 'static {
    /// The figures now, sorted by name.
    fn gather(&self) -> Vec<Metric>;
}

/// Prometheus text of all figures.
///
/// # Errors
/// Only when formatting into memory fails.
pub fn render(source: &Arc<dyn Gather>) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("clearway");
    registry.register_collector(Box::new(Exposed(Arc::clone(source))));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Exposed(Arc<dyn Gather>);

impl Collector for Exposed {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in self.0.gather() {
            match metric.kind {
                MetricKind::Counter => encode(&mut encoder, &metric, ConstCounter::new)?,
                MetricKind::Gauge => encode(&mut encoder, &metric, ConstGauge::new)?,
            }
        }
        Ok(())
    }
}

fn encode<M: EncodeMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    metric: &Metric,
    make: impl Fn(f64) -> M,
) -> fmt::Result {
    let kind = make(0.0).metric_type();
    let mut descriptor = encoder.encode_descriptor(metric.name, &metric.help, None, kind)?;
    for (values, value) in &metric.samples {
        if values.is_empty() {
            return make(*value).encode(descriptor);
        }
        let labels: Vec<_> = metric.labels.iter().copied().zip(values).collect();
        make(*value).encode(descriptor.encode_family(&labels)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Two;

    impl Gather for Two {
        fn gather(&self) -> Vec<Metric> {
            let samples = vec![(vec!["Settled".to_owned()], 3.0)];
            let (help, kind) = ("Envelopes executed", MetricKind::Counter);
            let labelled = Metric::labelled("envelopes", help, kind, &["result"], samples);
            vec![
                Metric::plain("block_height", "Final height", MetricKind::Gauge, 7.0),
                labelled,
            ]
        }
    }

    #[test]
    fn figures_are_written_with_prefix_suffix_and_labels() {
        let source: Arc<dyn Gather> = Arc::new(Two);
        let text = render(&source).expect("memory takes text");
        assert!(text.contains("clearway_block_height 7"), "{text}");
        assert!(
            text.contains("clearway_envelopes_total{result=\"Settled\"} 3"),
            "{text}"
        );
    }
}

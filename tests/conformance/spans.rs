//! Every link of the topology has a trace span of its name.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use clearway_node::Node;
use clearway_node::topology::LINKS;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::stand::{Payer, Stand};

/// Notes the name of every span.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<BTreeSet<&'static str>>>);

impl<S: tracing::Subscriber> Layer<S> for Names {
    fn on_new_span(
        &self,
        attributes: &tracing::span::Attributes<'_>,
        _: &tracing::Id,
        _: Context<'_, S>,
    ) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.insert(attributes.metadata().name());
    }
}

#[test]
fn a_payment_a_refusal_and_a_question_pass_through_a_span_of_every_link() {
    let names = Names::default();
    tracing_subscriber::registry().with(names.clone()).init();
    let stand = Stand::new();
    let node = Node::start(&stand.config, &stand.genesis, &stand.validator).expect("it starts");
    stand.visit(&node, visit);
    node.stop().expect("it stops");

    let names = names.0.lock().unwrap_or_else(PoisonError::into_inner);
    for link in LINKS {
        assert!(
            names.contains(link.name),
            "no span {} in {names:?}",
            link.name
        );
    }
}

/// One good payment, one with a broken signature, one question.
async fn visit(payer: &Payer) {
    let mut broken = payer.payment();
    broken.signature[0] ^= 1;
    let payments = [payer.payment(), broken];
    let answers = payer.client.submit(&payments).await.expect("answered");
    assert!(answers[0].settled() && !answers[1].is_final());
    let account = payer.client.account(payer.account).await;
    account.expect("answered").expect("it exists");
}

//! Several commands at once that use one identifier.

use std::process::Stdio;

use super::Payer;
use crate::program::{Run, end_of};

/// Commands at once, and how often: who comes first is another one each time.
const COMMANDS: usize = 4;
const ROUNDS: usize = 4;

/// Runs a payment of each of these amounts under one identifier, all at once.
fn pay_at_once(payer: &Payer, door: &str, id: &str, amounts: &[String]) -> Vec<Run> {
    let calls = amounts.iter().map(|amount| {
        let pay = ["pay", "2.1", "3.1", amount, "--id", id, "--json"];
        payer.start(door, &pay, Stdio::piped())
    });
    let children: Vec<_> = calls.collect();
    let ended = children.into_iter().map(|child| end_of(child, &["pay"]));
    ended.collect()
}

fn own_id(round: usize) -> String {
    format!("{round:030x}00")
}

#[test]
fn of_two_instructions_with_one_identifier_one_settles_and_the_other_is_told_so() {
    let payer = Payer::new();
    let mut node = payer.node();
    let mut paid = 0;
    for round in 1..=ROUNDS {
        let amounts: Vec<String> = (1..=COMMANDS).map(|units| format!("{units}.00")).collect();
        let runs = pay_at_once(&payer, node.door(), &own_id(round), &amounts);
        let mut settled = 0;
        for (units, run) in (1..).zip(runs) {
            match run.code {
                0 => (settled, paid) = (settled + 1, paid + units),
                _ => {
                    let other = run.expect(3);
                    let said = other.said();
                    assert!(said.contains("another instruction"), "{said}");
                    // Or it was sent, where the other one came between the look and the sending,
                    // and the ledger refused it.
                    if !said.contains("nothing was sent") {
                        let answer = other.json("answer");
                        assert_eq!(answer["state"], "conflict", "{answer}");
                    }
                }
            }
        }
        assert_eq!(settled, 1, "round {round}");
        assert!(payer.waiting().is_empty(), "round {round}");
    }
    assert_eq!(payer.paid(node.door()), paid);
    node.stop();
}

#[test]
fn the_same_command_at_once_moves_money_once_and_tells_its_end_each_time() {
    let payer = Payer::new();
    let mut node = payer.node();
    for round in 1..=ROUNDS {
        let amounts = vec!["10.00".to_owned(); COMMANDS];
        for run in pay_at_once(&payer, node.door(), &own_id(round), &amounts) {
            let answer = run.expect(0).json("answer");
            assert_eq!(answer["state"], "settled", "{answer}");
        }
    }
    assert_eq!(
        payer.paid(node.door()),
        i64::try_from(10 * ROUNDS).expect("few")
    );
    node.stop();
}

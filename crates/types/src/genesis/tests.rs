//! What a genesis must be, and what its hash stands for.

use std::collections::BTreeSet;

use super::*;

fn validator(number: u32) -> GenesisValidator {
    let (name, address) = ("v".into(), "127.0.0.1:1".into());
    GenesisValidator::new(
        ValidatorNumber(number),
        name,
        address,
        [1; 32],
        [2; 96],
        [3; 48],
    )
}

fn sample() -> Genesis {
    Genesis {
        name: "test".into(),
        time: TimeMs(1),
        rules: Rules::default(),
        validators: vec![validator(1)],
        participants: vec![GenesisParticipant {
            id: ParticipantId(1),
            role: Role::Operator,
            sponsor: ParticipantId(0),
            lei: String::new(),
            bic: "CWAYDEFF".into(),
            public_key: HexBytes([4; 32]),
        }],
        ledgers: vec![GenesisLedger {
            id: LedgerId(978),
            code: "EUR".into(),
            exponent: 2,
            issuer: ParticipantId(1),
            issuer_account: AccountId::new(ParticipantId(1), 1),
        }],
        accounts: vec![GenesisAccount {
            id: AccountId::new(ParticipantId(1), 2),
            ledger: LedgerId(978),
            balance: 5,
            credit_line: 0,
        }],
    }
}

#[test]
fn each_wrong_genesis_is_refused_for_its_reason() {
    type Edit = fn(&mut Genesis);
    let rows: [(Edit, &str); 19] = [
        (|g| g.validators.clear(), "0 validators"),
        (|g| g.participants.clear(), "0 participants"),
        (
            |g| g.validators[0].number = ValidatorNumber(0),
            "validator 0 is zero",
        ),
        (
            |g| g.validators.push(g.validators[0].clone()),
            "validator 1 is zero or given",
        ),
        (
            |g| g.validators[0].members_address.clear(),
            "`members_address`",
        ),
        (
            |g| g.validators[0].peer_address = "127.0.0.1:2".into(),
            "a single validator has no peers",
        ),
        (
            |g| {
                g.validators.push(validator(3));
                g.validators.push(validator(2));
            },
            "in the order of numbers",
        ),
        (|g| g.rules.ttl_s_max = 0, "ttl_s_max"),
        (|g| g.rules.return_window_s = 9999, "return_window_s"),
        (|g| g.rules.operator_threshold = 2, "operator_threshold"),
        (
            |g| g.participants[0].id = ParticipantId(0),
            "participant 0 is zero",
        ),
        (
            |g| g.participants.push(g.participants[0].clone()),
            "participant 1 is zero or given",
        ),
        (|g| g.participants[0].lei = "X".into(), "`lei`"),
        (|g| g.participants[0].bic = "x".into(), "`bic`"),
        (
            |g| g.participants[0].sponsor = ParticipantId(9),
            "names participant 9",
        ),
        (|g| g.ledgers[0].code = "eur".into(), "`code`"),
        (|g| g.ledgers[0].exponent = 19, "`exponent`"),
        (
            |g| g.ledgers[0].issuer_account = AccountId(7),
            "`issuer_account`",
        ),
        (|g| g.accounts[0].ledger = LedgerId(3), "names ledger 3"),
    ];
    sample().check().expect("the sample is right");
    for (edit, expected) in rows {
        let mut genesis = sample();
        edit(&mut genesis);
        let error = genesis.check().expect_err(expected).to_string();
        assert!(error.contains(expected), "{error} lacks {expected}");
    }
}

#[test]
fn each_of_several_validators_needs_an_address_for_its_peers() {
    let mut genesis = sample();
    genesis.validators = vec![validator(1), validator(2)];
    let error = genesis.check().expect_err("no address").to_string();
    assert!(error.contains("validator 1: `peer_address`"), "{error}");
    for validator in &mut genesis.validators {
        validator.peer_address = format!("127.0.0.1:{}", 10 + validator.number.0);
    }
    genesis.check().expect("each has one");
    genesis.validators[1].peer_address = "127.0.0.1".into();
    let error = genesis.check().expect_err("no port").to_string();
    assert!(error.contains("validator 2: `peer_address`"), "{error}");
}

#[test]
fn an_address_is_a_host_and_a_port() {
    for right in [
        "127.0.0.1:7400",
        "bank.example:1",
        "localhost:65535",
        "[::1]:7400",
        "h:0",
    ] {
        assert!(address_shape(right), "{right}");
    }
    for wrong in [
        "",
        ":",
        "bank.example",
        "bank.example:",
        ":7400",
        "bank.example:65536",
        "bank.example:+1",
        "bank.example:-1",
        "bank.example:http",
        "bank .example:7400",
        "::1:7400",
        "[]:7400",
        "[::1:7400",
        "::1]:7400",
        "[::1]7400",
        "https://bank.example:7400",
    ] {
        assert!(!address_shape(wrong), "{wrong}");
        let mut genesis = sample();
        genesis.validators[0].members_address = wrong.into();
        let error = genesis.check().expect_err(wrong).to_string();
        let expected = "validator 1: `members_address` is out of range; name its door as HOST:PORT";
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn addresses_alone_may_change_under_the_same_hash() {
    type Edit = fn(&mut Genesis);
    let edits: [Edit; 2] = [
        |g| g.validators[0].members_address = "bank.example:7400".into(),
        |g| g.validators[0].peer_address = "10.0.0.1:7402".into(),
    ];
    let mut moved = sample();
    for (row, edit) in edits.iter().enumerate() {
        edit(&mut moved);
        assert_ne!(moved, sample(), "edit {row}");
        assert_eq!(moved.hash(), sample().hash(), "edit {row}");
    }
}

#[test]
fn anything_but_an_address_moves_the_hash() {
    type Edit = fn(&mut Genesis);
    let edits: [Edit; 34] = [
        |g| g.name.push('x'),
        |g| g.time.0 += 1,
        |g| g.rules.ttl_s_max += 1,
        |g| g.rules.return_window_s += 1,
        |g| g.rules.operator_threshold += 1,
        |g| g.validators.clear(),
        |g| g.validators.push(validator(2)),
        |g| g.validators[0].number.0 += 1,
        |g| g.validators[0].name.push('x'),
        |g| g.validators[0].public_key.0[0] ^= 1,
        |g| g.validators[0].bls_public_key.0[0] ^= 1,
        |g| g.validators[0].bls_proof.0[0] ^= 1,
        |g| g.participants.clear(),
        |g| g.participants.push(g.participants[0].clone()),
        |g| g.participants[0].id.0 += 1,
        |g| g.participants[0].role = Role::Member,
        |g| g.participants[0].sponsor.0 += 1,
        |g| g.participants[0].lei.push('x'),
        |g| g.participants[0].bic.push('x'),
        |g| g.participants[0].public_key.0[0] ^= 1,
        |g| g.ledgers.clear(),
        |g| g.ledgers.push(g.ledgers[0].clone()),
        |g| g.ledgers[0].id.0 += 1,
        |g| g.ledgers[0].code.push('x'),
        |g| g.ledgers[0].exponent += 1,
        |g| g.ledgers[0].issuer.0 += 1,
        |g| g.ledgers[0].issuer_account.0 += 1,
        |g| g.accounts.clear(),
        |g| g.accounts.push(g.accounts[0]),
        |g| g.accounts[0].id.0 += 1,
        |g| g.accounts[0].ledger.0 += 1,
        |g| g.accounts[0].balance += 1,
        |g| g.accounts[0].credit_line += 1,
        |g| (g.validators[0].name, g.name) = (g.name.clone(), g.validators[0].name.clone()),
    ];
    let mut seen = BTreeSet::from([sample().hash()]);
    for (row, edit) in edits.iter().enumerate() {
        let mut genesis = sample();
        edit(&mut genesis);
        assert!(seen.insert(genesis.hash()), "edit {row}");
    }
}

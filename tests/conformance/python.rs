//! The client in Python, written from deploy/PROTOCOL.md alone: what it signs is cleared as it is,
//! and it believes a proof only where every byte holds.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use blst::min_sig::{AggregateSignature, SecretKey, Signature};
use clearway_client::{Client, ClientConfig, ClusterKeys};
use clearway_crypto::certificate::{SIGNATURE_DST, finalize_message, vote_namespace};
use clearway_crypto::hash::{self, ReceiptOf};
use clearway_crypto::merkle;
use clearway_crypto::validators::{ValidatorSecret, genesis_epoch};
use clearway_harness::{NodeProcess, folder};
use clearway_node::genesis_file;
use clearway_types::certificate::Certificate;
use clearway_types::code::{Outcome, OutcomeFlags, ResultCode};
use clearway_types::envelope::envelopes;
use clearway_types::genesis::{Genesis, GenesisAccount, GenesisValidator};
use clearway_types::hex;
use clearway_types::manifest::Manifest;
use clearway_types::units::{Height, ValidatorNumber};
use clearway_types::wire::proof::{ExecLink, SettlementProof};
use zerocopy::IntoBytes as _;

use crate::bytes::digest;
use crate::bytes::records::envelope;
use crate::docs::protocol::genesis::sample;
use crate::program::{Run, end_of};
use crate::twice::Payer;

/// Names the Python that has the packages of requirements.txt; without it `python3` is tried.
const VARIABLE: &str = "CLEARWAY_PYTHON";
/// What the client imports that may be missing.
const IMPORTS: &str = "import tomllib, blake3, cryptography, py_ecc";
/// Rounds until a block holds more than one payment; the first one does as a rule.
const ROUNDS_MAX: usize = 10;

/// A cluster's folder, and the client in Python in it.
struct Python {
    program: OsString,
    payer: Payer,
}

impl Python {
    /// Says loudly that a test did not run where Python or a package is missing; where
    /// `CLEARWAY_REQUIRE` names `python`, that is a failure.
    fn new(test: &str) -> Option<Self> {
        let program_of = std::env::var_os(VARIABLE).unwrap_or_else(|| "python3".into());
        let tried = Command::new(&program_of).args(["-c", IMPORTS]).output();
        let lacks = match tried {
            Ok(tried) if tried.status.success() => None,
            Ok(tried) => Some(String::from_utf8_lossy(&tried.stderr).into_owned()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(lacks) = lacks {
            let required = std::env::var("CLEARWAY_REQUIRE").unwrap_or_default();
            assert!(
                !required.split(',').any(|name| name == "python"),
                "CLEARWAY_REQUIRE names python, and {program_of:?} cannot run the client: {lacks}; \
                 install tests/clients/python/requirements.txt and name that Python in {VARIABLE}"
            );
            println!("NOT RUN: {test}: {program_of:?} cannot run the client: {lacks}");
            return None;
        }
        Some(Self {
            program: program_of,
            payer: Payer::new(),
        })
    }

    fn path(&self) -> &Path {
        self.payer.path()
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let script = "tests/clients/python/clearway_client.py";
        let child = Command::new(&self.program)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(script))
            .args(arguments)
            .current_dir(self.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        end_of(child.expect("it started before"), arguments)
    }

    /// Its one line of output.
    fn says(&self, arguments: &[&str]) -> String {
        self.run(arguments).expect(0).stdout.trim_end().to_owned()
    }

    /// Signs a payment of member 2 into a file and gives its identifier.
    fn pay(&self, amount: &str, file: &str) -> String {
        let key = "keys/member-2.insecure-plaintext";
        self.says(&[
            "pay",
            "genesis.toml",
            "2.1",
            "3.1",
            amount,
            file,
            "--key",
            key,
        ])
    }

    /// Does not believe this proof.
    fn refuses(&self, genesis: &str, envelope: &str, proof: &str, what: &str) {
        self.fails(&["check-proof", genesis, envelope, proof], what);
    }

    /// Says what is wrong, in words; a program that falls over says nothing of use.
    fn fails(&self, arguments: &[&str], what: &str) -> String {
        let told = self.run(arguments);
        assert_eq!(told.code, 1, "{what}: {}", told.stdout);
        assert!(told.stdout.is_empty(), "{what}: {}", told.stdout);
        let wrong = told.stderr.strip_prefix("wrong: ");
        wrong
            .unwrap_or_else(|| panic!("{what}: {}", told.stderr))
            .to_owned()
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path().join(name), bytes).expect("written");
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path().join(name)).expect("read")
    }
}

#[test]
fn a_genesis_has_the_same_hash_in_python() {
    let Some(python) = Python::new("the genesis in Python") else {
        return;
    };
    let hash = python.says(&["genesis-hash", "genesis.toml"]);
    assert_eq!(hash, folder::genesis(python.path()).hash().to_string());
    // One with every field in use, text beyond ASCII, two of each, and accounts in a file.
    let mut genesis = sample();
    genesis.name = "clé".into();
    genesis.validators.push(genesis.validators[0].clone());
    genesis.participants.push(genesis.participants[0].clone());
    genesis.ledgers.push(genesis.ledgers[0].clone());
    let first = genesis.accounts[0];
    let account = |number: u64| GenesisAccount {
        balance: u64::MAX - number,
        ..first
    };
    for (name, count) in [("few.toml", 2), ("many.toml", 1001)] {
        genesis.accounts = (0..count).map(account).collect();
        if count == 2 {
            // TOML has no larger numbers.
            genesis
                .accounts
                .iter_mut()
                .for_each(|one| one.balance >>= 1);
        }
        genesis_file::save(&python.path().join(name), &genesis).expect("written");
        let hash = python.says(&["genesis-hash", name]);
        assert_eq!(hash, genesis.hash().to_string(), "{name}");
    }
}

#[test]
fn python_refuses_the_files_that_a_node_refuses() {
    let Some(python) = Python::new("wrong files in Python") else {
        return;
    };
    let header = "id,ledger,balance,credit_line";
    let named = "accounts_file = \"a.csv\"\n";
    // What stands before the folder's genesis, what follows the header in `a.csv`, and whether both
    // read it.
    let rows = [
        (named, "\n8589934599,978,1,0\r\n\n", true),
        (named, "\r8589934599,978,1,0\n", false),
        (named, "\n8589934599,978,\u{661},0\n", false),
        (named, "\n8589934599,978,+1,0\n", false),
        (named, "\n8589934599,978, 1,0\n", false),
        (named, "\n8589934599,978,1\n", false),
        ("accounts_file = 5\n", "", false),
        ("# a line\raccounts_file = \"a.csv\"\n", "", false),
    ];
    let genesis = String::from_utf8(python.read("genesis.toml")).expect("text");
    for (line, accounts, is_right) in rows {
        python.write("changed.toml", format!("{line}{genesis}"));
        python.write("a.csv", format!("{header}{accounts}"));
        let read = genesis_file::load(&python.path().join("changed.toml"));
        let (call, what) = (["genesis-hash", "changed.toml"], [line, accounts].concat());
        match is_right {
            true => {
                let hash = read.expect("it is right").hash().to_string();
                assert_eq!(python.says(&call), hash, "{what:?}");
            }
            false => {
                assert!(read.is_err(), "{what:?}");
                python.fails(&call, &what);
            }
        }
    }
    // An account and an amount in digits of another script.
    for [debit, amount] in [["\u{662}.1", "1"], ["2.1", "\u{661}"]] {
        let key = "keys/member-2.insecure-plaintext";
        let call = ["pay", "genesis.toml", debit, "3.1", amount, "no.envelope"];
        let told = python.fails(&[&call[..], &["--key", key]].concat(), amount);
        assert!(told.contains("is no a"), "{told}");
    }
}

#[test]
fn python_knows_which_outcomes_use_up_the_identifier() {
    let Some(python) = Python::new("outcomes in Python") else {
        return;
    };
    let last = ResultCode::ALL.iter().map(|code| code.as_u16()).max();
    let codes = 0..=last.expect("there are codes") + 1;
    let flags = 0..=OutcomeFlags::DUPLICATE | OutcomeFlags::TRANSIENT;
    let all = codes.flat_map(|code| flags.clone().map(move |flags| (code, flags)));
    let expected: Vec<String> = all
        .map(|(code, flags)| {
            let [code, flag] = [code, flags].map(u16::to_le_bytes);
            let bytes = [code[0], code[1], flag[0], flag[1]];
            // A number that is no code uses up nothing by itself; flag bit 0 says it of any.
            let used_up = Outcome::from_bytes(bytes)
                .map_or(flags & OutcomeFlags::DUPLICATE != 0, Outcome::spends_id);
            let word = if used_up { "yes" } else { "no" };
            format!("{} {word}", hex::encode(&bytes))
        })
        .collect();
    let outcomes = expected.iter().map(|line| &line[..8]);
    let call: Vec<&str> = ["uses-up"].into_iter().chain(outcomes).collect();
    let told = python.says(&call);
    let differs = told
        .lines()
        .zip(&expected)
        .find(|(told, line)| told != line);
    assert_eq!(differs, None, "as told, and as it is");
    assert_eq!(told.lines().count(), expected.len());
}

#[test]
fn what_python_signs_is_cleared_and_python_checks_that_it_is_final() {
    let Some(python) = Python::new("payments of Python") else {
        return;
    };
    let mut node = python.payer.node();
    let id = python.pay("10.00", "one.envelope");
    let again = python.run(&[
        "pay",
        "genesis.toml",
        "2.1",
        "3.1",
        "1.00",
        "one.envelope",
        "--key",
        "keys/member-2.insecure-plaintext",
    ]);
    assert!(
        again.expect(1).stderr.contains("one.envelope"),
        "a file is never overwritten"
    );
    let submitted = python
        .payer
        .run(node.door(), &["submit", "one.envelope", "--json"]);
    let answers = submitted.expect(0).stdout;
    python.write("answers.json", &answers);
    let told = python.says(&["answer", "one.envelope", "answers.json"]);
    let call = ["lookup", &id, "--proof", "one.proof", "--json"];
    let found = python
        .payer
        .run(node.door(), &call)
        .expect(0)
        .json("lookup");
    let height = &found["height"];
    assert_eq!(told, format!("settled at height {height} with code 0"));
    let check = ["check-proof", "genesis.toml", "one.envelope", "one.proof"];
    let checked = python.says(&check);
    assert_eq!(checked, format!("FINAL at height {height} with code 0"));

    let rounds = (0..ROUNDS_MAX).map(|round| block_of_three(&python, &node, round));
    let mut whole = rounds.filter(|proof| !proof.receipt_path.is_empty());
    let proof = whole.next().expect("a block of several payments");
    node.stop();
    every_part_counts(&python, &proof);
    the_genesis_counts(&python);
}

#[test]
fn a_quorum_of_four_convinces_python_and_nothing_less() {
    let Some(python) = Python::new("certificates of four in Python") else {
        return;
    };
    python.write("any.envelope", envelope().as_bytes());
    let four = four_validators(python.path());
    let keys = ClusterKeys::from_genesis(&four).expect("each has proved its key");
    let check = ["check-proof", "four.toml", "any.envelope", "four.proof"];
    // The first validator does not sign.
    let settled = Outcome::new(ResultCode::Settled);
    let proof = proof_of(&four, &[1, 2, 3], 0b1110, settled);
    python.write("four.proof", proof.encode());
    let final_there = format!("FINAL at height {} with code 0", proof.height);
    assert!(keys.check(&envelope(), &proof).is_ok());
    assert_eq!(python.says(&check), final_there);
    let others = proof_of(&four, &[1, 2, 3], 0b1101, settled);
    let too_few = proof_of(&four, &[1, 2], 0b0110, settled);
    for (proof, what) in [(others, "others signed"), (too_few, "too few signed")] {
        assert!(keys.check(&envelope(), &proof).is_err(), "{what}");
        python.write("four.proof", proof.encode());
        python.refuses("four.toml", "any.envelope", "four.proof", what);
    }
    // What is proven may speak of one copy alone: that is not the end of the envelope.
    let passing = Outcome::refused(ResultCode::KeyNotValid);
    let proof = proof_of(&four, &[1, 2, 3], 0b1110, passing);
    python.write("four.proof", proof.encode());
    assert!(keys.check(&envelope(), &proof).is_ok());
    let told = python.fails(&check, "a refusal that may pass");
    assert!(told.contains("one copy alone"), "{told}");
    // One key without a proof of possession spoils the whole set.
    let mut unproved = four;
    unproved.validators[0].bls_proof = unproved.validators[1].bls_proof;
    genesis_file::save(&python.path().join("four.toml"), &unproved).expect("written");
    let proof = proof_of(&unproved, &[1, 2, 3], 0b1110, settled);
    python.write("four.proof", proof.encode());
    assert!(ClusterKeys::from_genesis(&unproved).is_err());
    python.refuses("four.toml", "any.envelope", "four.proof", "an unproved key");
}

/// The secret of the validator at this place.
fn secret(place: usize) -> [u8; 32] {
    [u8::try_from(place + 1).expect("few"); 32]
}

/// The folder's genesis with four validators, also as `four.toml`.
fn four_validators(dir: &Path) -> Genesis {
    let mut genesis = folder::genesis(dir);
    genesis.validators = (0..4)
        .map(|place| {
            let keys = ValidatorSecret::from_bytes(&secret(place)).expect("below the order");
            let number = u32::try_from(place + 1).expect("few");
            GenesisValidator::new(
                ValidatorNumber(number),
                format!("validator-{number}"),
                format!("192.0.2.{number}:7400"),
                secret(place),
                keys.public_key(),
                keys.prove_possession(),
            )
        })
        .collect();
    genesis_file::save(&dir.join("four.toml"), &genesis).expect("written");
    genesis
}

/// A proof that the sample envelope has this outcome, which the validators at these places signed,
/// and whose bitmap says that those of `claimed` did.
fn proof_of(genesis: &Genesis, signed: &[usize], claimed: u8, outcome: Outcome) -> SettlementProof {
    let height = Height(7);
    let leaf = hash::envelope_digests(&envelope()).leaf;
    let receipt = hash::receipt_leaf(height, 0, ReceiptOf::Envelope(&leaf, outcome));
    let receipts_root = merkle::root(&[receipt]);
    let manifest = Manifest {
        epoch: genesis_epoch(genesis),
        height: Height(8),
        parent: digest(1),
        time: genesis.time,
        leader: ValidatorNumber(1),
        state_height: height,
        exec_head: hash::exec_head(&digest(2), height, &receipts_root, None),
        batches: Vec::new(),
    };
    let manifest = manifest.encode();
    let payload = hash::manifest_digest(&manifest);
    let (view, parent_view) = (300, 299);
    let message = finalize_message(
        &vote_namespace(genesis.hash()),
        0,
        view,
        parent_view,
        payload,
    );
    let votes = signed.iter().map(|&place| {
        let secret = SecretKey::from_bytes(&secret(place)).expect("below the order");
        secret.sign(&message, SIGNATURE_DST, &[])
    });
    let votes: Vec<Signature> = votes.collect();
    let all: Vec<&Signature> = votes.iter().collect();
    let sum = AggregateSignature::aggregate(&all, true).expect("votes");
    SettlementProof {
        envelope: envelope(),
        height,
        index: 0,
        outcome,
        receipt_count: 1,
        receipt_path: Vec::new(),
        previous_exec_head: digest(2),
        links: vec![ExecLink {
            receipts_root,
            state_root: None,
        }],
        manifests: vec![manifest],
        certificate: Certificate {
            epoch: 0,
            view,
            parent_view,
            payload,
            validator_count: 4,
            signers: vec![claimed],
            signature: sum.to_signature().compress(),
        },
    }
}

/// Three payments on one stream, the second without cover; gives its proof, which Python has
/// checked, as `three.envelope` and `three.proof`.
fn block_of_three(python: &Python, node: &NodeProcess, round: usize) -> SettlementProof {
    let names = [0, 1, 2].map(|at| format!("{round}.{at}.envelope"));
    let amounts = ["1.00", "99999999.00", "2.50"];
    let ids = [0, 1, 2].map(|at| python.pay(amounts[at], &names[at]));
    let slab: Vec<u8> = names.iter().flat_map(|name| python.read(name)).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let answers = runtime.block_on(async {
        let server = folder::server(&folder::genesis(python.path()), node.door());
        let identity = folder::identity(python.path(), 2);
        let client = Client::connect(ClientConfig::new(identity, vec![server])).await;
        let client = client.expect("it is up");
        let answers = client.submit(envelopes(&slab)).await.expect("answered");
        client.close().await;
        answers
    });
    let codes: Vec<ResultCode> = answers.iter().map(|answer| answer.outcome.code).collect();
    let (settled, poor) = (ResultCode::Settled, ResultCode::InsufficientFunds);
    assert_eq!(codes, [settled, poor, settled]);
    // The second one moved nothing, which is final and proven all the same.
    let file = python.path().join("three.proof");
    if file.exists() {
        std::fs::remove_file(&file).expect("of the round before");
    }
    let call = ["lookup", &ids[1], "--proof", "three.proof"];
    python.payer.run(node.door(), &call).expect(1);
    python.write("three.envelope", python.read(&names[1]));
    let proof = SettlementProof::decode(&python.read("three.proof")).expect("a proof");
    let height = proof.height;
    let told = python.says(&[
        "check-proof",
        "genesis.toml",
        "three.envelope",
        "three.proof",
    ]);
    assert_eq!(
        told,
        format!("FINAL at height {height} with code {}", poor.as_u16())
    );
    proof
}

/// Names and lengths of the parts of a proof's bytes, in order; `true` where only the pairing can
/// tell that a part is changed, which takes Python a second.
fn parts(proof: &SettlementProof) -> Vec<(String, usize, bool)> {
    let part = |name: &str, len| (name.to_owned(), len, false);
    let mut all = vec![
        part("version", 1),
        part("envelope", 192),
        part("height", 8),
        part("index", 4),
        part("outcome", 4),
        part("receipt count", 8),
        part("path count", 4),
    ];
    let path = proof.receipt_path.iter().enumerate();
    all.extend(path.map(|(at, _)| (format!("path {at}"), 32, false)));
    all.extend([part("previous head", 32), part("link count", 4)]);
    for (at, link) in proof.links.iter().enumerate() {
        all.push((format!("receipts root {at}"), 32, false));
        all.push((format!("state mark {at}"), 1, false));
        all.extend(
            link.state_root
                .map(|_| (format!("state root {at}"), 32, false)),
        );
    }
    all.push(part("manifest count", 4));
    for (at, manifest) in proof.manifests.iter().enumerate() {
        all.push((format!("length of manifest {at}"), 4, false));
        // Version, epoch, validators, height, parent, time, leader, named height and head, batches.
        for (field, len) in [4, 8, 32, 8, 32, 8, 4, 8, 32, 4].into_iter().enumerate() {
            all.push((format!("field {field} of manifest {at}"), len, false));
        }
        all.push((
            format!("batches of manifest {at}"),
            manifest.len() - 140,
            false,
        ));
    }
    let slow = |name: &str, len| (name.to_owned(), len, true);
    all.extend([
        part("epoch", 8),
        slow("view", 8),
        slow("parent view", 8),
        part("payload", 32),
        part("validator count", 2),
        part("signers", 1),
        slow("signature", 48),
    ]);
    all
}

fn every_part_counts(python: &Python, proof: &SettlementProof) {
    let whole = python.read("three.proof");
    let mut start = 0;
    for (name, len, slow) in parts(proof) {
        let places = match (len, slow) {
            (0, _) => vec![],
            (1, _) | (_, true) => vec![start + len / 2],
            _ => vec![start, start + len - 1],
        };
        for at in places {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            python.write("changed.proof", &changed);
            let what = format!("{name}, byte {at}");
            python.refuses("genesis.toml", "three.envelope", "changed.proof", &what);
        }
        start += len;
    }
    assert_eq!(start, whole.len(), "the parts are the whole proof");
    python.write("changed.proof", &whole[..whole.len() - 1]);
    python.refuses("genesis.toml", "three.envelope", "changed.proof", "cut");
    python.write("changed.proof", [&whole[..], &[0]].concat());
    python.refuses(
        "genesis.toml",
        "three.envelope",
        "changed.proof",
        "too long",
    );
    python.refuses(
        "genesis.toml",
        "one.envelope",
        "three.proof",
        "another envelope",
    );
    let mut changed = python.read("three.envelope");
    changed[191] ^= 1;
    python.write("changed.envelope", changed);
    python.refuses(
        "genesis.toml",
        "changed.envelope",
        "three.proof",
        "the signature",
    );
}

fn the_genesis_counts(python: &Python) {
    let text = python.read("genesis.toml");
    let fields = [
        "\nname = \"",
        "\nnumber = ",
        "\npublic_key = \"",
        "\nbls_public_key = \"",
        "\nbls_proof = \"",
        "\nbalance = ",
        "\noperator_threshold = ",
    ];
    for field in fields {
        let mut changed = text.clone();
        let after = place_behind(&text, field);
        changed[after] ^= 1;
        python.write("changed.toml", changed);
        python.refuses("changed.toml", "three.envelope", "three.proof", field);
    }
    // A node may move: its address is no part of the hash.
    let mut moved = text.clone();
    let after = place_behind(&text, "\nmembers_address = \"");
    moved[after] ^= 1;
    python.write("moved.toml", &moved);
    let hashes = ["genesis.toml", "moved.toml"].map(|name| python.says(&["genesis-hash", name]));
    assert_eq!(hashes[0], hashes[1]);
}

/// Where the first letter or digit of a value is that stays one when its lowest bit is turned.
fn place_behind(text: &[u8], field: &str) -> usize {
    let start = text
        .windows(field.len())
        .position(|at| at == field.as_bytes());
    let start = start.expect("the field is there") + field.len();
    let stays = |byte: &u8| byte.is_ascii_digit() || (b'b'..=b'e').contains(byte);
    start + text[start..].iter().position(stays).expect("a value")
}

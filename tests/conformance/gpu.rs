//! A node whose signatures and trees are a GPU's: the same results, nothing left to the processor.

use clearway_gpu::testing;
use serde_json::Value;
use tempfile::tempdir;

use crate::program::{run, run_briefly};

/// As many payments as every way of verifying must clear alike.
const PAYMENTS: u64 = 2500;

/// Payments in one order, so that two runs end with the same balances.
fn bench(settings: &[&str]) -> Value {
    let dir = tempdir().expect("a temporary folder");
    let count = PAYMENTS.to_string();
    let shape = ["--account-count", "300", "--count", &count, "--ordered"];
    let mut arguments = vec!["bench", "--stream-len", "500", "--json"];
    arguments.extend(shape);
    arguments.extend(settings.iter().flat_map(|setting| ["--set", setting]));
    run(dir.path(), &arguments).expect(0).json("run")
}

#[test]
fn a_node_that_verifies_and_hashes_on_a_gpu_alone_ends_with_the_same_balances() {
    let name = "a_node_that_verifies_and_hashes_on_a_gpu_alone_ends_with_the_same_balances";
    let Some(_) = testing::adapter(name) else {
        return;
    };
    let on_gpu = bench(&[
        "backend=gpu",
        "hash_backend=gpu:all",
        "allow_software_adapter=true",
    ]);
    let on_cpu = bench(&[]);
    for json in [&on_gpu, &on_cpu] {
        for check in ["conserved", "roots_equal", "replay_ok"] {
            assert_eq!(json["checks"][check], true, "{check}: {json}");
        }
    }
    assert_eq!(on_gpu["backend"], "gpu", "{on_gpu}");
    assert_eq!(on_gpu["signatures_verified"], PAYMENTS, "{on_gpu}");
    assert_eq!(on_gpu["signatures_fallback"], 0, "{on_gpu}");
    assert_eq!(on_gpu["balances_root"], on_cpu["balances_root"]);
    assert_eq!(on_gpu["settled"], on_cpu["settled"]);
}

#[test]
fn doctor_names_every_adapter_and_why_it_is_not_used() {
    let dir = tempdir().expect("a temporary folder");
    let report = run(dir.path(), &["doctor", "--json"])
        .expect(0)
        .json("doctor");
    let adapters = report["adapters"].as_array().expect("a list");
    for adapter in adapters {
        let usable = adapter["usable"] == true;
        let verdict = adapter["verdict"].as_str().expect("words");
        assert_eq!(verdict == "can be used", usable, "{adapter}");
        // A processor's driver is never taken unasked.
        assert!(!usable || adapter["software"] == false, "{adapter}");
    }
    let text = run(dir.path(), &["doctor"]).expect(0).stdout;
    let expected = if adapters.is_empty() {
        "No GPU"
    } else {
        "adapter"
    };
    assert!(text.contains(expected), "{text}");
}

#[test]
fn verify_answers_from_a_gpu_and_says_what_to_do_without_one() {
    let dir = tempdir().expect("a temporary folder");
    // RFC 8032, section 7.1, the first two; the third with the first's signature.
    let (first, second) = (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155\
         5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
         085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    );
    let keys = [
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    ];
    let line = |key: &str, signature: &str, message: &str, valid: bool| {
        let vector = serde_json::json!({
            "pk_hex": key, "sig_hex": signature, "msg_hex": message, "zip215_valid": valid,
        });
        format!("{vector}\n")
    };
    let lines = [
        line(keys[0], first, "", true),
        line(keys[1], second, "72", true),
        line(keys[1], first, "72", false),
    ];
    std::fs::write(dir.path().join("vectors.jsonl"), lines.concat()).expect("written");
    let verify = |more: &[&'static str]| {
        let arguments = [&["verify", "--vectors", "vectors.jsonl", "--backend"], more].concat();
        run(dir.path(), &arguments)
    };
    let refused = verify(&["gpu:77", "--allow-software-adapter"]).expect(5);
    assert!(
        refused.stderr.contains("gpu:77") || refused.stderr.contains("no GPU"),
        "{}",
        refused.stderr
    );
    let name = "verify_answers_from_a_gpu_and_says_what_to_do_without_one";
    let Some(_) = testing::adapter(name) else {
        return;
    };
    let answered = verify(&["gpu", "--allow-software-adapter"])
        .expect(0)
        .stdout;
    assert_eq!(answered, "1 valid\n2 valid\n3 invalid\n");
    if clearway_gpu::adapter::list()
        .iter()
        .all(|report| report.software)
    {
        let refused = verify(&["gpu"]).expect(5).stderr;
        assert!(refused.contains("--allow-software-adapter"), "{refused}");
    }
}

#[test]
fn a_node_without_a_driver_takes_the_processor_unless_a_gpu_was_asked_for_by_name() {
    let dir = tempdir().expect("a temporary folder");
    // Both names that Vulkan loaders know.
    let no_driver = [
        ("VK_DRIVER_FILES", "/nowhere"),
        ("VK_ICD_FILENAMES", "/nowhere"),
    ];
    let count = PAYMENTS.to_string();
    let bench = |setting| {
        let shape = ["--account-count", "300", "--count", &count, "--json"];
        let arguments = [&["bench"][..], &shape, &["--set", setting]].concat();
        run_briefly(dir.path(), &no_driver, &arguments)
    };
    for (setting, instead) in [
        ("backend=gpu", "set backend = \"auto\""),
        ("backend=gpu:0", "set backend = \"auto\""),
        ("hash_backend=gpu", "set hash_backend = \"cpu\""),
        ("hash_backend=gpu:all", "set hash_backend = \"cpu\""),
    ] {
        let said = bench(setting).expect(5).said();
        assert!(said.contains("no GPU is used"), "{setting}: {said}");
        assert!(said.contains(instead), "{setting}: {said}");
    }
    let ran = bench("backend=auto").expect(0);
    let json = ran.json("run");
    assert_ne!(json["backend"], "gpu", "{json}");
    assert_eq!(json["checks"]["replay_ok"], true, "{json}");
    let doctor = run_briefly(dir.path(), &no_driver, &["doctor"]).expect(0);
    assert!(doctor.stdout.contains("No GPU"), "{}", doctor.stdout);
    // Who asks for its verdicts gets them or nothing.
    let refused = run_briefly(
        dir.path(),
        &no_driver,
        &["verify", "--vectors", "-", "--backend", "gpu"],
    );
    assert!(refused.expect(5).stderr.contains("no Vulkan driver"));
}

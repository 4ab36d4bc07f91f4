//! Tests of the configuration: precedence, every way to get it wrong, and what is shown.

use clearway_types::seeded::SplitMix;

use super::*;

fn flag(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

#[test]
fn flags_stand_above_variables_above_the_file_above_presets_above_defaults() {
    let file = "preset = \"server\"\nverify_workers = 3\n[door]\nidle_ms = 5000\n";
    let variables = [
        flag("CLEARWAY_DOOR_IDLE_MS", "6000"),
        flag("CLEARWAY_VERIFY_WORKERS", "4"),
        flag("CLEARWAY_PASSPHRASE", "not a setting"),
        flag("HOME", "not ours"),
    ];
    let loaded = parse(file, variables, &[flag("verify_workers", "5")]).expect("it is right");
    let config = &loaded.config;
    assert_eq!(config.verify_workers, 5);
    assert_eq!(config.door.idle_ms, 6000);
    assert!(config.pin_threads, "the preset sets it");
    assert_eq!(config.door.connections_max, 2000);
    let rows = [
        ("verify_workers", "flag"),
        ("door.idle_ms", "variable CLEARWAY_DOOR_IDLE_MS"),
        ("pin_threads", "preset server"),
        ("door.connections_max", "default"),
    ];
    for (key, origin) in rows {
        let setting = SETTINGS.iter().find(|s| s.key == key).expect(key);
        assert_eq!(loaded.origin(setting).to_string(), origin, "{key}");
    }
}

#[test]
fn each_bad_file_is_refused_with_its_place_and_what_to_do() {
    let rows = [
        ("data_dir", "line 1"),
        ("data_dir = ", "line 1"),
        ("\n\nlisten = \"a", "line 3"),
        ("log = \"a\"\nlog = \"b\"", "line 2"),
        ("port = 1", "file line 1: no setting `port`"),
        ("verify_worker = 1", "did you mean `verify_workers`"),
        (
            "[dor]\nidle_ms = 1",
            "file line 2: no setting `dor.idle_ms`",
        ),
        ("[door]\nidle = 1", "file line 2: no setting `door.idle`"),
        (
            "[door.idle_ms]\nx = 1",
            "`door.idle_ms` must be a whole number",
        ),
        ("[[door]]\nidle_ms = 2000", "no setting `door`"),
        ("data_dir = 3", "`data_dir` must be a path"),
        ("data_dir = \"\"", "`data_dir` must be a path"),
        ("log = \"\"", "`log` must be a text"),
        ("pin_threads = 1", "`pin_threads` must be true or false"),
        (
            "pin_threads = \"yes\"",
            "`pin_threads` must be true or false",
        ),
        (
            "verify_workers = true",
            "`verify_workers` must be a whole number",
        ),
        (
            "verify_workers = 1.5",
            "`verify_workers` must be a whole number",
        ),
        ("verify_workers = -1", "between 0 and 256, not -1"),
        ("verify_workers = 257", "between 0 and 256, not 257"),
        (
            "verify_workers = 99999999999999999999",
            "must be a whole number",
        ),
        (
            "listen = \"localhost\"",
            "`listen` must be an address with port",
        ),
        ("listen = 7400", "`listen` must be an address with port"),
        ("admin_listen = \"0.0.0.0:7401\"", "loopback"),
        (
            "preset = \"huge\"",
            "no preset `huge`; choose one of laptop, server, bench",
        ),
        ("preset = 3", "`preset` must be a name"),
        ("[store]\nsegment_bytes = 1024", "between 16777216 and"),
        (
            "[order]\npace_ms = 500\nheartbeat_ms = 250",
            "slower than the pace",
        ),
        // A single validator's engine gives up a view after 400 ms.
        ("[order]\nheartbeat_ms = 400", "between 10 and 350, not 400"),
        (
            "[door]\nstream_window_bytes = 8388608",
            "cannot have more room than its connection",
        ),
        (
            "[door]\nconnections_max = 4",
            "cannot have more connections than all together",
        ),
        ("log = [\"a\"]", "`log` must be a text"),
    ];
    for (text, expected) in rows {
        let error = parse(text, [], &[]).expect_err(text).to_string();
        assert!(
            error.contains(expected),
            "{text:?}: {error:?} lacks {expected:?}"
        );
    }
}

#[test]
fn paths_in_the_file_are_relative_to_its_folder_and_paths_in_variables_are_not() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("node.toml");
    std::fs::write(&file, "data_dir = \"d\"\n").expect("written");
    let variables = [flag("CLEARWAY_GENESIS", "g.toml")];
    let config = load(Some(&file), variables, &[])
        .expect("it is right")
        .config;
    assert_eq!(config.data_dir, dir.path().join("d"));
    assert_eq!(config.genesis, Path::new("g.toml"));
}

#[test]
fn unknown_flags_are_refused_too() {
    let error = parse("", [], &[flag("door.idel_ms", "1")]).expect_err("a typing error");
    assert!(error.to_string().starts_with("flag: no setting"), "{error}");
}

#[test]
fn a_missing_or_overlong_file_is_refused() {
    let missing = load(Some(Path::new("no/such/node.toml")), [], &[]).expect_err("none there");
    let words = "configuration no/such/node.toml: ";
    assert!(missing.to_string().starts_with(words), "{missing}");
    let long = "#".repeat(CONFIG_BYTES_MAX + 1);
    assert!(matches!(
        parse(&long, [], &[]),
        Err(ConfigError::TooLong { .. })
    ));
}

#[test]
fn an_error_says_whether_it_is_about_the_file() {
    let missing = load(Some(Path::new("no/such/node.toml")), [], &[]).expect_err("none there");
    assert!(missing.is_of_file(), "{missing}");
    let long = "#".repeat(CONFIG_BYTES_MAX + 1);
    let wrong = [
        ("no_setting", "1"),
        ("preset", "huge"),
        ("door.idle_ms", "soon"),
        ("door.idle_ms", "5"),
    ];
    let rows = [
        (&*long, true),
        ("log = ", true),
        ("no_setting = 1", true),
        ("preset = \"huge\"", true),
        ("log = 1", true),
        ("door.idle_ms = 5", true),
        ("door.stream_window_bytes = 8388608", false),
    ];
    for (text, is_of_file) in rows {
        let error = parse(text, [], &[]).expect_err("it is wrong");
        assert_eq!(error.is_of_file(), is_of_file, "{error}");
    }
    for (key, value) in wrong {
        let error = parse("", [], &[flag(key, value)]);
        assert!(error.is_err_and(|error| !error.is_of_file()), "{key}");
    }
}

#[test]
fn the_example_reads_back_as_the_same_configuration() {
    for (name, _) in PRESETS {
        let loaded = parse(&format!("preset = \"{name}\""), [], &[]).expect(name);
        let again = parse(&example(&loaded.config), [], &[]).expect(name);
        assert_eq!(again.config, loaded.config, "{name}");
    }
}

#[test]
fn every_setting_has_a_line_of_help_and_a_variable_of_its_own() {
    let mut variables = std::collections::BTreeSet::new();
    for setting in SETTINGS {
        assert!(setting.help.len() > 10, "{}", setting.key);
        assert!(
            variables.insert(setting.key.replace('.', "_")),
            "{}",
            setting.key
        );
    }
}

#[test]
fn arbitrary_text_never_panics() {
    let corpus = [
        "",
        "preset = \"bench\"",
        "a.b.c = 1",
        "[door]\nidle_ms = 0x7d0",
        "listen = \"[::1]:0\"",
        "\u{0}",
        "data_dir = \"\\u0000\"",
    ];
    let seed = 7;
    for text in corpus {
        fuzz_config(text.as_bytes());
        let mut random = SplitMix(seed);
        for _ in 0..200 {
            let mut bytes = text.as_bytes().to_vec();
            let place = random.index(bytes.len() + 1);
            bytes.insert(place, random.bytes(1)[0]);
            fuzz_config(&bytes);
        }
    }
}

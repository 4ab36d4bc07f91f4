//! What a variable of the environment has named is told by the variable's name.

use std::net::UdpSocket;

use clearway_harness::folder;
use tempfile::tempdir;

use crate::program::{program, run_briefly};

/// Variables, a call, its exit code, the variable that its message names.
type Row<'a> = (&'a [(&'a str, &'a str)], &'a str, i32, &'a str);

#[test]
fn an_error_about_what_a_variable_names_has_the_variables_name() {
    let (dir, other) = (tempdir().expect("a folder"), tempdir().expect("a folder"));
    folder::init(program(dir.path()));
    folder::init(program(other.path()));
    let path = |name: &str| other.path().join(name).display().to_string();
    let genesis = path("genesis.toml");
    let member = path("keys/member-2.insecure-plaintext");
    let validator = path("keys/validator.insecure-plaintext");
    let pay = "pay 2.1 3.1 10.00 --insecure-plaintext --timeout-s 1";
    let own = "--key keys/member-2.insecure-plaintext";
    let (g, k, c) = ("CLEARWAY_GENESIS", "CLEARWAY_KEY", "CLEARWAY_CONFIG");
    let node = "node run --config node.toml";
    let data = "CLEARWAY_DATA_DIR";
    let rows: [Row; 11] = [
        (&[(g, "none.toml"), (k, &member)], pay, 5, g),
        (&[(g, "node.toml"), (k, &member)], pay, 1, g),
        (&[(k, "none.age")], pay, 5, k),
        (&[(k, "genesis.toml")], pay, 1, k),
        (&[(k, &member)], pay, 2, k),
        (&[(c, "none.toml")], "node run", 5, c),
        (&[(c, "genesis.toml")], "node config", 1, c),
        (&[(c, "none.toml")], "monitor --once", 5, c),
        (&[(g, &genesis)], node, 1, g),
        (&[("CLEARWAY_KEYS", &validator)], node, 1, "CLEARWAY_KEYS"),
        (&[(data, "node.toml")], node, 1, data),
    ];
    for (variables, call, code, names) in rows {
        let words: Vec<&str> = call.split(' ').collect();
        let refused = run_briefly(dir.path(), variables, &words).expect(code);
        let said = refused.said();
        assert!(
            said.contains(&format!("variable {names} ")),
            "{call}: {said}"
        );
    }
    // The key is nobody's in the genesis of the variable; of what was typed none is named.
    let typed = format!("{pay} {own}");
    let words: Vec<&str> = typed.split(' ').collect();
    let refused = run_briefly(dir.path(), &[(g, &genesis), (k, &member)], &words).expect(2);
    let said = refused.said();
    assert!(said.contains(g) && !said.contains(k), "{said}");
}

#[test]
fn an_error_about_something_else_names_no_variable_of_a_file() {
    let dir = tempdir().expect("a folder");
    folder::init(program(dir.path()));
    let taken = UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port");
    let taken = taken.local_addr().expect("it is bound");
    let places = format!("--set listen={taken} --set admin_listen=127.0.0.1:0");
    let node = format!("node run --config node.toml {places}");
    let files = [
        ("CLEARWAY_GENESIS", "genesis.toml"),
        ("CLEARWAY_KEYS", "keys/validator.insecure-plaintext"),
        ("CLEARWAY_DATA_DIR", "data"),
    ];
    let idle = [
        ("CLEARWAY_CONFIG", "node.toml"),
        ("CLEARWAY_DOOR_IDLE_MS", "5"),
    ];
    let rows: [Row; 2] = [
        (&files, &node, 1, "cannot listen on"),
        (&idle, "node config", 1, "variable CLEARWAY_DOOR_IDLE_MS: "),
    ];
    for (variables, call, code, says) in rows {
        let words: Vec<&str> = call.split(' ').collect();
        let refused = run_briefly(dir.path(), variables, &words).expect(code);
        let said = refused.said();
        assert!(said.contains(says), "{call}: {said}");
        let named = [" sets `", " names "]
            .iter()
            .any(|word| said.contains(word));
        assert!(!named, "{call}: {said}");
    }
}

#[test]
fn another_configuration_is_asked_for_by_the_switch_where_no_variable_names_it() {
    let dir = tempdir().expect("a folder");
    let told = |variables: &[(&str, &str)], call: &[&str]| {
        let refused = run_briefly(dir.path(), variables, call).expect(5);
        refused.json("error")["remedy"].clone()
    };
    let typed = ["node", "config", "--json", "--config", "none.toml"];
    assert_eq!(told(&[], &typed), "give an existing file with --config");
    let named = told(&[("CLEARWAY_CONFIG", "none.toml")], &typed[..3]);
    assert!(named.is_null(), "{named}");
}

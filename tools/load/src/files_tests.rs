//! Payment files as people and programs write them: read whole, or refused with their line.

use std::io::Write as _;

use super::*;
use crate::workload::Generator;

#[test]
fn a_generated_workload_comes_back_from_plain_and_packed_files() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let workload = Generator {
        account_count: 50,
        payment_count: 200,
        ..Generator::default()
    }
    .generate();
    for ending in ["csv", "csv.gz"] {
        let payments = dir.path().join(format!("payments.{ending}"));
        let accounts = dir.path().join(format!("accounts.{ending}"));
        save(&workload, &payments, &accounts).expect("written");
        let again = load(&payments, &accounts).expect("read");
        assert_eq!(again.digest(), workload.digest(), "{ending}");
    }
}

#[test]
fn account_numbers_name_their_bank_and_values_become_minor_units() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (payments, accounts) = (dir.path().join("p.csv"), dir.path().join("a.csv"));
    std::fs::write(
        &accounts,
        "nodeid,isFraud,init_balance,x\n33,0,184.4,-1\n0,0,7,-1\n",
    )
    .expect("written");
    std::fs::write(
        &payments,
        "sourceNodeId,targetNodeId,value,time\n0,33,103.55,1\n",
    )
    .expect("written");
    let workload = load(&payments, &accounts).expect("read");
    assert_eq!(workload.accounts[0].balance, 18_440);
    assert_eq!(workload.accounts[0].id.owner(), crate::cluster::bank(1));
    assert_eq!(workload.payments[0].amount, 10_355);
    assert_eq!(
        (workload.payments[0].debit, workload.payments[0].credit),
        (1, 0)
    );
}

#[test]
fn each_bad_file_is_refused_with_its_line() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (payments, accounts) = (dir.path().join("p.csv"), dir.path().join("a.csv"));
    let good_accounts = "nodeid,init_balance\n1,10.00\n2,5\n";
    let good_payments = "sourceNodeId,targetNodeId,value,time\n1,2,3.50,0\n";
    let rows = [
        ("", good_payments, "no column `nodeid`"),
        (
            "nodeid,balance\n1,2\n",
            good_payments,
            "no column `init_balance`",
        ),
        ("nodeid,init_balance\n", good_payments, "no rows"),
        (
            "nodeid,init_balance\n1,2\n1,3\n",
            good_payments,
            ":3: account 1 is there twice",
        ),
        (
            "nodeid,init_balance\nx,2\n",
            good_payments,
            ":2: `x` is no account number",
        ),
        (
            "nodeid,init_balance\n1,-2\n",
            good_payments,
            ":2: `-2`: not a decimal amount",
        ),
        (
            "nodeid,init_balance\n1,184467440737095516.15\n2,0.01\n3,0\n",
            good_payments,
            ":3: account 2: with it the balances come to 2^64",
        ),
        ("nodeid,init_balance\n1\n", good_payments, "give CSV"),
        (good_accounts, "a,b\n", "no column `sourceNodeId`"),
        (
            good_accounts,
            "sourceNodeId,targetNodeId,value\n1,9,1\n",
            ":2: account 9 is not in",
        ),
        (
            good_accounts,
            "sourceNodeId,targetNodeId,value\n1,2,1.234\n",
            ":2: `1.234`: more decimals",
        ),
        (
            good_accounts,
            "sourceNodeId,targetNodeId,value\n",
            "no rows",
        ),
    ];
    for (accounts_text, payments_text, expected) in rows {
        std::fs::write(&accounts, accounts_text).expect("written");
        std::fs::write(&payments, payments_text).expect("written");
        let error = load(&payments, &accounts).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error:?} lacks {expected:?}");
    }
    let packed = dir.path().join("a.csv.gz");
    std::fs::write(&packed, good_accounts).expect("written");
    let error = load(&payments, &packed).expect_err("not gzip").to_string();
    assert!(error.contains("compressed by gzip"), "{error}");
    let error = load(&payments, Path::new("none.csv")).expect_err("not there");
    assert!(error.to_string().contains("check the path"), "{error}");
}

fn packed(text: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(text).expect("memory takes it");
    packed.finish().expect("memory takes it")
}

const ACCOUNTS: &[u8] = b"nodeid,init_balance\n1,10.00\n2,5\n";
const PAYMENTS: &[u8] = b"sourceNodeId,targetNodeId,value\n1,2,3.50\n2,1,0.75\n";

/// Writes both files and reads them.
fn load_bytes(name: &str, payments: &[u8]) -> Result<Workload, FileError> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (accounts_path, path) = (dir.path().join("a.csv"), dir.path().join(name));
    std::fs::write(&accounts_path, ACCOUNTS).expect("written");
    std::fs::write(&path, payments).expect("written");
    load(&path, &accounts_path)
}

#[test]
fn what_other_programs_write_is_read_to_the_last_payment() {
    let two_members = [packed(&PAYMENTS[..40]), packed(&PAYMENTS[40..])].concat();
    let rows: [(&str, &str, &[u8], u64); 14] = [
        ("as it is", "p.csv", PAYMENTS, 0),
        ("no last line feed", "p.csv", PAYMENTS.trim_ascii_end(), 0),
        (
            "carriage returns",
            "p.csv",
            b"sourceNodeId,targetNodeId,value\r\n1,2,3.50\r\n2,1,0.75\r\n",
            0,
        ),
        (
            "blanks after commas",
            "p.csv",
            b"sourceNodeId, targetNodeId ,\tvalue\n1, 2, 3.50\n2 ,1,\t0.75 \n",
            0,
        ),
        (
            "a byte order mark",
            "p.csv",
            b"\xef\xbb\xbfsourceNodeId,targetNodeId,value\n1,2,3.50\n2,1,0.75\n",
            0,
        ),
        (
            "Latin-1 in a column that nobody reads, and in its name",
            "p.csv",
            b"sourceNodeId,targetNodeId,value,m\xe9mo\n1,2,3.50,Caf\xe9\n2,1,0.75,\xff\n",
            0,
        ),
        (
            "empty lines",
            "p.csv",
            b"\nsourceNodeId,targetNodeId,value\n\n1,2,3.50\n\r\n2,1,0.75\n\n",
            4,
        ),
        (
            "quotes",
            "p.csv",
            b"\"sourceNodeId\",targetNodeId,value,memo\n\"1\",2,\"3.50\",\"a, \"\"b\"\"\"\n\
                2,1,0.75,5\"\n",
            0,
        ),
        (
            "columns in another order",
            "p.csv",
            b"value,x,targetNodeId,sourceNodeId\n3.50,,2,1\n0.75,,1,2\n",
            0,
        ),
        ("packed", "p.csv.gz", &packed(PAYMENTS), 0),
        ("packed, in capitals", "P.CSV.GZ", &packed(PAYMENTS), 0),
        (
            "packed, and its name does not say so",
            "p.csv",
            &packed(PAYMENTS),
            0,
        ),
        ("packed in two parts", "p.csv.gz", &two_members, 0),
        ("no ending", "payments", PAYMENTS, 0),
    ];
    for (what, name, bytes, empty_lines) in rows {
        let workload = load_bytes(name, bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
        let read: Vec<_> = workload
            .payments
            .iter()
            .map(|p| (p.debit, p.amount))
            .collect();
        assert_eq!(read, [(0, 350), (1, 75)], "{what}");
        let rows = FileRows {
            payments: 2,
            accounts: 2,
            empty_lines,
        };
        assert_eq!(workload.rows, Some(rows), "{what}");
    }
}

/// Refuses a file of these bytes with these words.
fn refuse(name: &str, bytes: &[u8], expected: &str) {
    let error = load_bytes(name, bytes).expect_err(expected).to_string();
    assert!(error.contains(expected), "{error:?} lacks {expected:?}");
}

#[test]
fn rows_that_hide_others_or_are_none_are_refused() {
    let rows = [
        (
            "1,2,3.50,\"never closed\n2,1,1.25,x\n1,2,0.75,y\n",
            "p.csv:2: a quote is opened",
        ),
        // Another row would close it.
        (
            "1,2,3,x\n1,2,3,\"a\n2,1,1,x\n1,2,7,\"\n",
            "p.csv:3: a quote is opened",
        ),
        ("1,2,3.50,\"x", "p.csv:2: a quote is opened"),
        ("1,2,\"3\".50,x\n", "p.csv:2: text follows a closing quote"),
        ("1,2,3.50\n", "give CSV"),
        ("1,2,3.50,x,y\n", "give CSV"),
        ("1,2,3.50,x\n   \n", "give CSV"),
        ("1,2,3.50,x\n\0\0\0\0\0\0\0\0", "give CSV"),
        ("+1,2,3.50,x\n", ":2: `+1` is no account number"),
        ("1,2,\"3,50\",x\n", ":2: `3,50`: not a decimal amount"),
        ("1,2,1 000.00,x\n", ":2: `1 000.00`: not a decimal amount"),
    ];
    for (rows, expected) in rows {
        let text = format!("sourceNodeId,targetNodeId,value,memo\n{rows}");
        refuse("p.csv", text.as_bytes(), expected);
    }
    let twice = b"sourceNodeId,targetNodeId,value, value\n1,2,1,9\n";
    refuse("p.csv", twice, "p.csv:1: the column `value` is there twice");
    let latin = b"sourceNodeId,targetNodeId,value\n1,2,3\xa350\n";
    refuse("p.csv", latin, ":2: `3\u{fffd}50`: not a decimal amount");
    let wide = PAYMENTS.iter().flat_map(|byte| [*byte, 0]);
    let wide: Vec<u8> = [0xff, 0xfe].into_iter().chain(wide).collect();
    refuse("p.csv", &wide, "p.csv:1: the file is UTF-16");
}

#[test]
fn packed_files_that_are_not_whole_or_not_packed_are_refused() {
    let whole = packed(PAYMENTS);
    let cut = "cannot be unpacked to its end";
    refuse("p.csv.gz", &whole[..whole.len() - 9], cut);
    refuse("p.csv.gz", &whole[..whole.len() - 1], cut);
    refuse("p.csv.gz", &[&whole[..], b"more"].concat(), cut);
    refuse("p.csv.gz", &[&whole[..], &[0; 16]].concat(), cut);
    refuse("p.csv.gz", b"", "is not compressed by gzip");
    refuse("p.csv.GZ", PAYMENTS, "is not compressed by gzip");
}

#[test]
fn a_packed_file_cut_anywhere_is_refused() {
    let whole = packed(PAYMENTS);
    for len in 0..whole.len() {
        let cut = load_bytes("p.csv.gz", &whole[..len]);
        assert!(cut.is_err(), "{len} of {} bytes: {cut:?}", whole.len());
    }
}

//! Payment files, vectors and command lines that are not what they should be.

use std::path::Path;

use crate::bad_input::Row;
use crate::bad_input::folder::{as_it_is, write};

const BENCH: &str = "bench --payments p.csv --accounts a.csv";
const VECTORS: &str = "verify --vectors v.jsonl";
const ACCOUNTS: &str = "nodeid,init_balance\n1,100.00\n2,100.00\n";
const PAYMENTS: &str = "sourceNodeId,targetNodeId,value,time\n1,2,5.00,0\n";

/// A payments file and an accounts file.
const fn bench(name: &'static str, arrange: fn(&Path), says: &'static str) -> Row {
    Row::command(name, arrange, BENCH, 1, says)
}

/// A file of signature vectors.
const fn vectors(name: &'static str, arrange: fn(&Path), says: &'static str) -> Row {
    Row::command(name, arrange, VECTORS, 1, says)
}

/// Wrong usage.
const fn usage(name: &'static str, call: &'static str, says: &'static str) -> Row {
    Row::command(name, as_it_is, call, 2, says)
}

fn both(dir: &Path, payments: &str, accounts: &str) {
    write(dir, "p.csv", payments);
    write(dir, "a.csv", accounts);
}

pub(crate) const ROWS: &[Row] = &[
    bench(
        "payments without a column",
        |dir| both(dir, "from,to,value\n1,2,5.00\n", ACCOUNTS),
        "the first line must name sourceNodeId, targetNodeId, value",
    ),
    bench(
        "a negative payment",
        |dir| both(dir, &PAYMENTS.replace("5.00", "-5.00"), ACCOUNTS),
        "p.csv:2: `-5.00`",
    ),
    bench(
        "a payment with three decimals",
        |dir| both(dir, &PAYMENTS.replace("5.00", "5.005"), ACCOUNTS),
        "p.csv:2: `5.005`",
    ),
    bench(
        "a payment of an unknown account",
        |dir| both(dir, &PAYMENTS.replace("1,2,", "1,3,"), ACCOUNTS),
        "account 3 is not in the accounts file; add it there",
    ),
    bench(
        "an account number that is none",
        |dir| both(dir, PAYMENTS, &ACCOUNTS.replace("2,100", "two,100")),
        "write a whole number below 2^32",
    ),
    bench(
        "an account given twice",
        |dir| both(dir, PAYMENTS, &ACCOUNTS.replace("2,100", "1,100")),
        "keep one of the lines",
    ),
    bench(
        "payments that are missing",
        |dir| both(dir, PAYMENTS.lines().next().unwrap_or_default(), ACCOUNTS),
        "no rows after the first line",
    ),
    Row::command(
        "a payments file that is not there",
        |dir| write(dir, "a.csv", ACCOUNTS),
        "bench --payments none.csv --accounts a.csv",
        5,
        "check the path",
    ),
    Row::command(
        "a payments file that is not gzip",
        |dir| {
            write(dir, "p.csv.gz", PAYMENTS);
            write(dir, "a.csv", ACCOUNTS);
        },
        "bench --payments p.csv.gz --accounts a.csv",
        1,
        "it is not compressed by gzip, as its ending says",
    ),
    bench(
        "a quote that is never closed",
        |dir| {
            both(
                dir,
                &format!("{}1,2,\"5.00,x\n1,2,5.00,1\n", PAYMENTS),
                ACCOUNTS,
            )
        },
        "p.csv:3: a quote is opened here and not closed on the same line",
    ),
    bench(
        "a column given twice",
        |dir| both(dir, &PAYMENTS.replace("time", "value"), ACCOUNTS),
        "the column `value` is there twice",
    ),
    usage(
        "flags of the generator beside files",
        "bench --payments p.csv --accounts a.csv --count 5",
        "cannot be used with",
    ),
    vectors(
        "a vector that is not JSON",
        |dir| write(dir, "v.jsonl", "{\"pk_hex\":\n"),
        "v.jsonl:1",
    ),
    vectors(
        "a vector without a signature",
        |dir| write(dir, "v.jsonl", "\n{\"pk_hex\":\"00\",\"msg_hex\":\"\"}\n"),
        "v.jsonl:2: missing field `sig_hex`",
    ),
    vectors(
        "a vector that is not hexadecimal",
        |dir| {
            let line = "{\"pk_hex\":\"zz\",\"sig_hex\":\"\",\"msg_hex\":\"\"}\n";
            write(dir, "v.jsonl", line);
        },
        "`pk_hex` is not hexadecimal; write one vector a line",
    ),
    Row::command(
        "vectors that are not there",
        as_it_is,
        "verify --vectors none.jsonl",
        5,
        "check the path",
    ),
    Row::command(
        "vectors for an unknown backend",
        as_it_is,
        "verify --vectors - --backend abacus",
        5,
        "--list-backends",
    ),
    usage(
        "an unknown command",
        "fly",
        "For more information, try '--help'",
    ),
    usage("no command", "", "Usage"),
    usage(
        "an account that is none",
        "account show 7.x --key k",
        "write owner.number",
    ),
    usage(
        "an identifier that is none",
        "void 12 2.1 3.1 --key k",
        "write 32 hexadecimal digits",
    ),
    usage(
        "a batch of none",
        "verify --vectors - --batch 0",
        "0 is not in 1..=65536",
    ),
    usage(
        "a claim about no figure",
        "bench --assert speed>1",
        "write FIGURE>NUMBER",
    ),
    usage(
        "a cluster of four in one process",
        "bench --nodes 4",
        "4 is not in 1..=1",
    ),
    usage("a profile of nothing", "profile", "--pid <PID>"),
    usage(
        "a profile of two things",
        "profile --pid 1 --target 127.0.0.1:9",
        "cannot be used with",
    ),
    usage(
        "a profile of no time",
        "profile --pid 1 --seconds 0",
        "0 is not in 1..=3600",
    ),
    usage(
        "a profile of a day",
        "profile --pid 1 --seconds 86400",
        "86400 is not in 1..=3600",
    ),
    usage(
        "a profile in a form that is none",
        "profile --pid 1 --out flame.png",
        "end it in .svg, .folded, .pb or .pb.gz",
    ),
    usage(
        "a change that is not drawn",
        "profile --pid 1 --out p.folded --diff old.folded",
        "name an .svg file with --out",
    ),
    Row::command(
        "a change since a profile that is not there",
        as_it_is,
        "profile --pid 1 --diff none.folded",
        5,
        "check the path",
    ),
    Row::command(
        "a change since what is no profile",
        |dir| write(dir, "old.folded", "main;check 7\nmain;check\n"),
        "profile --pid 1 --diff old.folded",
        1,
        "--diff old.folded: line 2: write FRAME;FRAME COUNT",
    ),
    Row::command(
        "a profile into a folder that is not there",
        as_it_is,
        "profile --pid 1 --out none/flame.svg",
        1,
        "--out none/flame.svg: No such file or directory (os error 2); name a file",
    ),
    Row::command(
        "a profile of a process that does not run",
        as_it_is,
        // No system counts so far.
        "profile --pid 4194305",
        5,
        "no process 4194305 runs here",
    ),
    Row::command(
        "a profile of an address where nobody listens",
        as_it_is,
        "profile --target 127.0.0.1:9",
        5,
        "nothing listens on 127.0.0.1:9 on this machine: profile a node where it runs",
    ),
    Row::command(
        "a profile of a command that is not there",
        as_it_is,
        "profile -- no-such-program",
        5,
        "cannot start `no-such-program`",
    ),
    Row::command(
        "a payment to a node that is not there",
        as_it_is,
        "pay 2.1 3.1 1.00 --key keys/member-2.insecure-plaintext --insecure-plaintext \
         --server 127.0.0.1:9 --timeout-s 1",
        7,
        "check that a node listens there",
    ),
];

//! `cargo dev`: the maintainers' checks, cheap first.

fn main() {}

//! The one binary that people run: `clearway demo`, `bench`, `replay`, `node` and the rest.

fn main() {}

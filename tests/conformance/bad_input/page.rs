//! Requests to the operators' page for what it does not have.

use crate::bad_input::{Bad, Counter, Row, Told};

const REFUSED: Counter = Counter::Line("clearway_admin_refused_total", 1);

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "a page that is not there",
        bad: Bad::Request("GET /admin/shutdown"),
        told: Told::Page(404),
        counter: REFUSED,
        says: "ask for /livez, /readyz, /version or /metrics",
    },
    Row {
        name: "a write to the operators' page",
        bad: Bad::Request("POST /metrics"),
        told: Told::Page(405),
        counter: REFUSED,
        says: "use GET",
    },
];

//! Workloads, the load generator and its report.

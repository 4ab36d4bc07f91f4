//! The pipes between the stages: bounded links, the stage loop, counters.

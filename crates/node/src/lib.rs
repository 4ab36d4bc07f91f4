//! Assembly: topology, configuration, thread placement, metrics.

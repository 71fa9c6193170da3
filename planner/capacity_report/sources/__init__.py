"""Where a history comes from: tables, traces, decision logs, Prometheus, or somebody's word."""

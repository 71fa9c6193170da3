"""The `planner` command: one file a subcommand, loaded when it is asked for."""

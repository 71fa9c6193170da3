"""What benchmark tools write, read into runs: one importer a file, recognised by content."""

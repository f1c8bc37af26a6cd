"""What a run leaves behind: the record's schema, its store, the machine it ran on."""

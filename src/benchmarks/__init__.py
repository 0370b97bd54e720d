"""dateline beside its alternatives: one unit of work, done by each of them, measured in turn."""

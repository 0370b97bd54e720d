"""The command line: make the trail's tables, read the trail, verify it."""

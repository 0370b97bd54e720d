"""Builds the statements that the core's path needs, and yields them in batches; executes none."""

"""The only place that executes, waits, logs, and reads the clock."""

"""The console: people see what happened, why, and what would happen."""

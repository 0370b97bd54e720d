"""What tests of an application on dateline need: so far, real PostgreSQL servers to throw away."""

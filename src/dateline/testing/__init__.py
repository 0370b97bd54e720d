"""What tests of an application on dateline need: decisions stated without a database, and real PostgreSQL servers to throw away."""

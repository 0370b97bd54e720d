"""The trail's tables, step by step; Alembic runs these scripts, `run/migrate.py` calls it."""

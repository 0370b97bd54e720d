"""The pure part: values and functions, no clock, no chance, no database, no logging."""

"""The clinic's rules, by the date from which they are in force."""

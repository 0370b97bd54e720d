"""The ward's rules, by the date from which they are in force."""

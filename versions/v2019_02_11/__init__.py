"""2019-02-11: a dose is a number of milligrams.

As a text it could be anything, "a little" among it, and nobody could add two of them up. What was written before as an amount in milligrams
or grams is read as such; of all else nobody knows how much it was.
"""

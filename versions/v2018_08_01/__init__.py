"""2018-08-01: a hepatotoxic drug comes with a liver panel.

Two days of prescriptions showed that nobody orders the panel. Now the prescription does, unless one was ordered within 28 days.
"""

"""2018-07-30: prescriptions and invitations.

Doctors prescribe here instead of on paper, so that allergies and duplicates are found before the patient is told. A free appointment is
offered to several patients at once, and whoever accepts first has it.
"""

"""A clinic on dateline: prescriptions, invitations, and the sepsis pathway of a real hospital's log. The reference application."""

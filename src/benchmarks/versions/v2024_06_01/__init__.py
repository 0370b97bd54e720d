"""2024-06-01: each prescription is looked at once more.

Somebody compares it with what the patient takes already.
"""

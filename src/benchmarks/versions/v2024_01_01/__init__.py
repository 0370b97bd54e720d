"""2024-01-01: prescriptions are written here.

The patient is told, and the pharmacy.
"""

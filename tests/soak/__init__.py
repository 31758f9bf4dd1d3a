"""Faults for as long as you like; ``python -m tests.soak --help``."""

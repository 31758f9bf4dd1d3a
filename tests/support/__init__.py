"""Fakes and real parts shared by tests: import as ``tests.support.…``."""

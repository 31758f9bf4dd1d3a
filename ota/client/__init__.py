"""Verify, download, install, report: the update client in the vehicle."""

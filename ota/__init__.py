"""Signed updates: metadata, the client in the vehicle, the publisher."""

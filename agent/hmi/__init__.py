"""The driver's screen and the local API."""

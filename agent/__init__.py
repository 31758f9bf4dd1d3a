"""The daemon in the vehicle; the only package that wires parts together."""

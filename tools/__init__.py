"""Scripts for the machine: set-up and generated pages."""

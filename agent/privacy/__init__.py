"""What a trip may look like outside the vehicle; pure."""

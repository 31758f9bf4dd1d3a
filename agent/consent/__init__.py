"""What may leave the vehicle, and the proof of who allowed it."""

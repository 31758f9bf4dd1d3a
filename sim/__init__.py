"""Everything around the unmodified agent: frames, stack, demo. Nothing imports it."""

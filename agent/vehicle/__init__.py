"""What the vehicle is doing; pure: no I/O, no clock, no asyncio."""

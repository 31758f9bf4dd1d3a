"""What the agent watches over apart from trips: the battery, charges at the cable, events."""

"""The release machine: keys, packages, repositories, Director. Never in a vehicle."""

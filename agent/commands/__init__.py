"""The commands of okdrive-agent, one module a group: parse, call, print; no logic."""

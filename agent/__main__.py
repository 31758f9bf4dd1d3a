"""python -m agent is okdrive-agent."""

from agent.cli import main

main()

"""A bench that forks, says that it is there, and then neither goes on nor ends when asked."""

import json
import os
import signal

signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
if child:
    print(json.dumps({"pids": [os.getpid(), child]}), flush=True)  # noqa: T201 (its output)
while True:
    signal.pause()

"""What happens in a study, a line of JSON for each event.

Every process writes a file of its own in the study's `events` folder, because several
machines cannot append to one file of a shared file system. Each line has

    time      UTC seconds
    event     "study", "began", "progress", "finished", "failed", "died",
              "lost" (another took it while this process was suspended) or "ended"
    run       which, but for "study" and "ended"
    host, process

and by its kind: done, total and unit ("progress"), seconds ("finished"), error and
again ("failed", "died": whether it is tried again), work by run ("study").
"""

import json
import os
import platform
import time
from pathlib import Path
from typing import Any


class Events:
    """The events of this process, in the folder of a study."""

    def __init__(self, folder: Path):
        self._folder = folder / "events"

    def write(self, event: str, **fields: Any) -> None:
        """Adds one; whole or not at all."""
        self._folder.mkdir(parents=True, exist_ok=True)
        line = {
            "time": round(time.time(), 3),
            "event": event,
            **fields,
            "host": platform.node(),
            "process": os.getpid(),
        }
        path = self._folder / f"{platform.node()}-{os.getpid()}.jsonl"
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, (json.dumps(line) + "\n").encode())
        finally:
            os.close(file)


def read_events(folder: Path) -> list[dict[str, Any]]:
    """All events of a study so far, in the order of their times."""
    found = []
    for path in (folder / "events").glob("*.jsonl"):
        for line in path.read_bytes().splitlines():
            try:
                event = json.loads(line)
                event["time"], event["event"]
            except (ValueError, TypeError, KeyError):
                continue  # its writer was killed, or its disk full
            found.append(event)
    return sorted(found, key=lambda event: event["time"])

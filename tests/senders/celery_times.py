"""Holds the table of times that we read as Celery's workers do against their own code: each row tells which of their readers read it so."""

import json
import sys
import warnings
from datetime import datetime, timezone

warnings.simplefilter("ignore")  # the oldest of the readers is deprecated

from celery.utils.iso8601 import parse_iso8601
from celery.utils.time import maybe_iso8601

READERS = {"isoparse": maybe_iso8601, "fromisoformat": datetime.fromisoformat, "own": parse_iso8601}


def read(reader, text):
    try:
        time = reader(text)
        time = (time if time.tzinfo else time.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)
    except (AttributeError, OverflowError, TypeError, ValueError):
        return None
    return time.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


wrong = []
for row in json.load(open(sys.argv[1])):
    by = [name for name, reader in READERS.items() if row["time"] and read(reader, row["text"]) == row["time"]]
    refused = row["time"] is None and read(maybe_iso8601, row["text"]) is None
    if by != row["by"] or not (by or refused):
        wrong.append((row, by))
print(json.dumps({"case": "times", "wrong": wrong}))

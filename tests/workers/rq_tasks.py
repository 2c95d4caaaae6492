"""What the workers of RQ run in the tests. Each call is noted in a list of Redis, so that a test sees how often and when it came."""

import json
import time

from rq import get_current_job


def note(*args, **kwargs):
    job = get_current_job()
    line = json.dumps({"id": job.id, "at": time.time(), "args": args, "kwargs": kwargs, "timeout": job.timeout})
    job.connection.rpush(f"ran:{job.origin}", line)
    return {"args": args, "kwargs": kwargs}


def fail(*args):
    note(*args)
    raise ValueError("not today, Zoë")


def flaky():
    note()
    if get_current_job().retries_left:
        raise RuntimeError("once more")
    return "at last"


class Provider:
    """A provider of django-notifs."""

    def __init__(self, context):
        self.context = context

    def send(self, payload):
        note(payload, **self.context)

    def send_bulk(self, payloads):
        note(*payloads, **self.context)

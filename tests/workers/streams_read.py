"""Reads a stream as django-dispatch's consumers do: alone by xread, then in a group with xack. Each event is told as a line of JSON, and what the group has not acknowledged at
the end.

streams_read.py URL STREAM COUNT"""

import json
import sys

import redis
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

url, stream, count = sys.argv[1:]
client = redis.Redis.from_url(url, decode_responses=True)
client.xgroup_create(stream, "workers", id="0", mkstream=True)
print("ready", flush=True)


def tell(by, fields):
    # The SDK holds it to the specification.
    event = JSONFormat().read(CloudEvent, fields["cloud_event"])
    attributes = {name: str(value) for name, value in event.get_attributes().items()}
    beside = {name: value for name, value in fields.items() if name != "cloud_event"}
    print(json.dumps({"by": by, "attributes": attributes, "data": event.get_data(), "beside": beside}), flush=True)


last_id, seen = "0", 0
while seen < int(count):
    for _, messages in client.xread({stream: last_id}, count=10, block=1000):
        for message_id, fields in messages:
            tell("xread", fields)
            last_id, seen = message_id, seen + 1

acknowledged = 0
while acknowledged < int(count):
    for _, messages in client.xreadgroup("workers", "worker-1", {stream: ">"}, count=10, block=1000):
        for message_id, fields in messages:
            tell("xreadgroup", fields)
            acknowledged += client.xack(stream, "workers", message_id)
print(json.dumps({"pending": client.xpending(stream, "workers")["pending"]}), flush=True)

"""A provider of django-notifs that notes what it is to send: in a list of the Redis that is at WORKER_RESULTS."""

import json
import os

import redis


class Provider:
    def __init__(self, context):
        self.context = context

    def note(self, payloads):
        line = json.dumps({"payloads": payloads, "context": self.context})
        redis.Redis.from_url(os.environ["WORKER_RESULTS"]).rpush(self.context["list"], line)

    def send(self, payload):
        self.note([payload])

    def send_bulk(self, payloads):
        self.note(payloads)

"""Stands in for Azure Service Bus: its REST API in front, AMQP 1.0 with `$cbs` behind, so that the real SDK receives what was sent over REST.

    azure_servicebus.py REST_PORT AMQP_PORT

Signatures are checked by the SDK's own signing. Entities: the queue `tasks`, the queue `once` which drops duplicates, the queue `sessions` which takes messages with a
session alone, the queue `small` which takes one message, and the topic `events` with the subscriptions `audit` and `mail`. The policy `send` may send, `manage` all.
"""

import email.utils
import heapq
import json
import sys
import threading
import time
import urllib.parse
import uuid
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from azure.servicebus._pyamqp.utils import generate_sas_token
from proton import Delivery, Message, symbol, timestamp
from proton.handlers import MessagingHandler
from proton.reactor import ApplicationEvent, Container, EventInjector

KEYS = {"send": "c2VuZA==", "manage": "bWFuYWdl"}
BATCH = "application/vnd.microsoft.servicebus.json"
LIMIT = 256 * 1024

# Where messages of an entity go.
ENTITIES = {
    "tasks": ["tasks"],
    "once": ["once"],
    "sessions": ["sessions"],
    "small": ["small"],
    "events": ["events/Subscriptions/audit", "events/Subscriptions/mail"],
}
places = {place: deque() for queues in ENTITIES.values() for place in queues}
seen = set()
small = threading.Semaphore(1)
injector = EventInjector()


class Refused(Exception):
    def __init__(self, status, detail):
        self.status, self.detail = status, detail


class Rest(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.answer(lambda: self.send(body))

    def do_GET(self):
        self.answer(self.find)

    def answer(self, work):
        try:
            status, text = work()
        except Refused as refused:
            status = refused.status
            text = f"<Error><Code>{status}</Code><Detail>{refused.detail}. TrackingId:{uuid.uuid4()}_G1</Detail></Error>"
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass

    def admit(self, entity, right):
        """Checks the signature by signing the same with the SDK."""
        kind, _, rest = self.headers.get("authorization", "").partition(" ")
        if kind != "SharedAccessSignature":
            raise Refused(401, "MissingToken: The token is missing")
        said = dict(urllib.parse.parse_qsl(rest))
        resource, policy, expiry = said["sr"], said["skn"], int(said["se"])
        if self.headers["authorization"] != generate_sas_token(resource, policy, KEYS.get(policy, ""), expiry):
            raise Refused(401, "InvalidSignature: The token has an invalid signature")
        if expiry < time.time():
            raise Refused(401, "ExpiredToken: The token is expired")
        if urllib.parse.urlsplit(resource).path.strip("/") not in ("", entity):
            raise Refused(401, "InvalidAudience: The authorization header contains a token for another audience")
        if policy not in ("manage", right):
            raise Refused(401, "Manage,EntityRead claims required for this operation")

    def find(self):
        entity = urllib.parse.urlsplit(self.path).path.strip("/")
        self.admit(entity, "manage")
        return 200, "<entry></entry>" if entity in ENTITIES else "<feed></feed>"

    def send(self, body):
        path = urllib.parse.urlsplit(self.path).path.strip("/")
        entity = path.removesuffix("/messages")
        self.admit(entity, "send")
        if entity not in ENTITIES:
            raise Refused(404, "The messaging entity could not be found")
        if len(body) > LIMIT:
            raise Refused(403, "The message size exceeds the limit (262144 bytes)")
        if self.headers["content-type"] == BATCH:
            entries = [(entry["Body"].encode(), entry.get("BrokerProperties", {})) for entry in json.loads(body)]
        else:
            properties = json.loads(self.headers.get("brokerproperties", "{}"))
            entries = [(body, {**properties, "ContentType": self.headers["content-type"]})]
        if entity == "sessions" and not all(properties.get("SessionId") for _, properties in entries):
            raise Refused(405, "The SessionId was not set on a message, and it cannot be sent to the entity")
        if entity == "small" and not small.acquire(blocking=False):
            raise Refused(403, "The maximum entity size has been reached or exceeded for Queue: small. QuotaType: EntitySize (QuotaExceeded)")
        injector.trigger(ApplicationEvent("sent", subject=(entity, [message(*entry) for entry in entries])))
        return 201, ""


def message(body, properties):
    """A message as the SDK sees it, and when it can be seen."""
    due = properties.get("ScheduledEnqueueTimeUtc")
    due = email.utils.parsedate_to_datetime(due).timestamp() if due else 0
    made = Message(body=body, inferred=True)
    made.id = properties.get("MessageId")
    made.subject = properties.get("Label")
    made.content_type = properties.get("ContentType")
    made.group_id = properties.get("SessionId")
    if "TimeToLive" in properties:
        made.ttl = properties["TimeToLive"]
    return made, due


class Broker(MessagingHandler):
    def __init__(self, port):
        super().__init__(auto_accept=False, prefetch=100)
        self.port, self.links, self.replies, self.waiting, self.number = port, {}, {}, [], 0

    def on_start(self, event):
        self.container = event.container
        event.container.selectable(injector)
        self.acceptor = event.container.listen(f"127.0.0.1:{self.port}")

    def on_link_opening(self, event):
        link = event.link
        link.source.copy(link.remote_source)
        link.target.copy(link.remote_target)
        address = (link.remote_source if link.is_sender else link.remote_target).address or ""
        address = urllib.parse.urlsplit(address).path.strip("/") if "://" in address else address
        if link.is_sender and address == "$cbs":
            self.replies[event.connection.remote_container] = link
        elif link.is_sender and address in places:
            self.links.setdefault(address, []).append(link)

    def on_message(self, event):
        """A token for `$cbs`: the SDK's own, which it has signed."""
        event.delivery.update(Delivery.ACCEPTED)
        event.delivery.settle()
        reply = Message(properties={"status-code": 202, "status-description": "Accepted"}, correlation_id=event.message.id)
        self.replies[event.connection.remote_container].send(reply)

    def on_sent(self, event):
        entity, messages = event.subject
        for made, due in messages:
            if entity == "once":
                if made.id in seen:
                    continue
                seen.add(made.id)
            self.number += 1
            heapq.heappush(self.waiting, (due, self.number, entity, made))
        self.move()

    def on_timer_task(self, event):
        self.move()

    def move(self):
        """Puts what is due where it can be received."""
        now = time.time()
        while self.waiting and self.waiting[0][0] <= now:
            _, number, entity, made = heapq.heappop(self.waiting)
            for place in ENTITIES[entity]:
                places[place].append((number, made))
        if self.waiting:
            self.container.schedule(max(self.waiting[0][0] - now, 0.01), self)
        for place in places:
            self.hand_out(place)

    def on_sendable(self, event):
        for place, links in self.links.items():
            if event.link in links:
                self.hand_out(place)

    def hand_out(self, place):
        for link in self.links.get(place, []):
            while link.credit > 0 and places[place] and link.state & link.REMOTE_ACTIVE:
                number, made = places[place].popleft()
                now = int(time.time() * 1000)
                made.annotations = {
                    symbol("x-opt-sequence-number"): number,
                    symbol("x-opt-enqueued-time"): timestamp(now),
                    symbol("x-opt-locked-until"): timestamp(now + 60_000),
                }
                link.send(made, tag=uuid.uuid4().bytes)

    def on_accepted(self, event):
        """The SDK waits to be told that a message is done with."""
        event.delivery.update(Delivery.ACCEPTED)
        event.delivery.settle()


rest, amqp = map(int, sys.argv[1:3])
server = ThreadingHTTPServer(("127.0.0.1", rest), Rest)
threading.Thread(target=server.serve_forever, daemon=True).start()
Container(Broker(amqp)).run()

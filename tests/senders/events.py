"""Sends events with the SDK of CloudEvents: to SENDER_QUEUE_URL and, by HTTP, to SENDER_EVENTS_URL if it is set, with the key SENDER_KEY. No binding to SQS
is specified: the headers of the binding to HTTP become message attributes."""

import json
import os
from urllib.request import Request, urlopen
from uuid import uuid4

import boto3
from cloudevents.core.bindings import http
from cloudevents.core.v1.event import CloudEvent

RUN = os.environ["SENDER_RUN"]
SOURCE = "/senders/events"
BATCH = "application/cloudevents-batch+json"


def make_event(case):
    attributes = {
        "type": "app.echo",
        "source": SOURCE,
        "id": f"{RUN}-{case}-{uuid4()}",
        "subject": f'Grüße "{RUN}" 100%',
        "datacontenttype": "application/json",
        "tenant": "acme",
    }
    return CloudEvent(attributes=attributes, data={"run": RUN, "case": case, "greeting": "Grüße 🚀"})


def tell(case, event, **more):
    attributes = event.get_attributes()
    print(json.dumps({"case": case, "id": attributes["id"], "source": SOURCE, "data": event.get_data(), **more}), flush=True)


def send_to_queue(sqs, message):
    attributes = {name: {"DataType": "String", "StringValue": value} for name, value in message.headers.items()}
    sent = sqs.send_message(QueueUrl=os.environ["SENDER_QUEUE_URL"], MessageBody=message.body.decode(), MessageAttributes=attributes)
    return sent["MessageId"]


def post(headers, body):
    headers = {**headers, "authorization": f"Bearer {os.environ['SENDER_KEY']}"}
    with urlopen(Request(os.environ["SENDER_EVENTS_URL"], body, headers, method="POST"), timeout=30) as response:
        return {"status": response.status, "answer": response.read().decode()}


def main():
    modes = {"structured": http.to_structured_event, "binary": http.to_binary_event}
    sqs = boto3.client("sqs")
    for mode, encode in modes.items():
        event = make_event(f"sqs_{mode}")
        tell(f"sqs_{mode}", event, message_id=send_to_queue(sqs, encode(event)))
    if not os.environ.get("SENDER_EVENTS_URL"):
        return
    for mode, encode in modes.items():
        event = make_event(f"http_{mode}")
        message = encode(event)
        tell(f"http_{mode}", event, **post(message.headers, message.body))
    # The SDK makes no batches: they are arrays of structured events.
    batch = [make_event("http_batch") for _ in range(2)]
    bodies = [json.loads(http.to_structured_event(event).body) for event in batch]
    answer = post({"content-type": BATCH}, json.dumps(bodies).encode())
    for event in batch:
        tell("http_batch", event, **answer)


main()

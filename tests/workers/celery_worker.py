"""A worker of Celery: `celery_worker.py QUEUES`, comma-separated. WORKER_BROKER and WORKER_RESULTS are its broker_url and result_backend, WORKER_OPTIONS its
broker_transport_options as JSON. Each of its tasks gives back how it was called. With DJANGO_SETTINGS_MODULE, it is one of django-notifs as well."""

import json
import os
import sys
import time

from celery import Celery
from kombu import Exchange, Queue

app = Celery("worker", broker=os.environ["WORKER_BROKER"], backend=os.environ.get("WORKER_RESULTS"))
app.conf.update(
    broker_transport_options=json.loads(os.environ.get("WORKER_OPTIONS", "{}")),
    result_backend_transport_options=json.loads(os.environ.get("WORKER_RESULT_OPTIONS", "{}")),
    accept_content=["json"],
    task_track_started=True,
    broker_connection_retry_on_startup=True,
    worker_enable_remote_control=False,
)
if exchange := os.environ.get("WORKER_EXCHANGE"):
    topic = Exchange(exchange, type="topic")
    app.conf.task_queues = [Queue(name, topic, routing_key=f"{name}.#") for name in sys.argv[1].split(",")]
if priorities := os.environ.get("WORKER_MAX_PRIORITY"):
    app.conf.task_queue_max_priority = int(priorities)


if "DJANGO_SETTINGS_MODULE" in os.environ:
    import django

    django.setup()
    app.set_default()
    import notifications.backends.celery  # noqa: F401


@app.task(name="shop.echo", bind=True)
def echo(self, *args, **kwargs):
    request = self.request
    return {
        "id": request.id,
        "args": args,
        "kwargs": kwargs,
        "eta": request.eta,
        "expires": request.expires,
        "tenant": (request.headers or {}).get("tenant"),
        "priority": (request.delivery_info or {}).get("priority"),
        "routing_key": (request.delivery_info or {}).get("routing_key"),
        "retries": request.retries,
        "root_id": request.root_id,
        "now": time.time(),
    }


@app.task(name="shop.ship", bind=True, max_retries=1)
def ship(self, order):
    raise LookupError(f"no order {order}")


@app.task(name="shop.again", bind=True, max_retries=2)
def again(self):
    if self.request.retries < 1:
        raise self.retry(countdown=0)
    return self.request.retries


app.worker_main(["worker", "--pool", "solo", "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "ERROR", "--queues", sys.argv[1]])

"""Sends notifications to SENDER_QUEUE_URL with django-notifs, through its backend for SQS. It names no ids: told are those of the messages."""

import json
import os

import boto3
import django
from django.conf import settings

RUN = os.environ["SENDER_RUN"]

settings.configure(
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "notifications"],
    NOTIFICATIONS_DELIVERY_BACKEND="notifications.backends.AwsSqsLambda",
    NOTIFICATIONS_SQS_QUEUE_URL=os.environ["SENDER_QUEUE_URL"],
)
django.setup()

from notifications.channels import BaseNotificationChannel
from notifications.providers import BaseNotificationProvider
from notifications.utils import notify


class AuditProvider(BaseNotificationProvider):
    """A provider of the project's own."""

    name = "audit"

    def send(self, payload):
        raise NotImplementedError("what is sent here is received elsewhere")


class AnyChannel(BaseNotificationChannel):
    """Sends the notification's extra data, as it is, to the provider that it names."""

    name = "any"

    @property
    def providers(self):
        return [self.notification.extra_data["provider"]]

    def build_payload(self, provider):
        return self.notification.extra_data["payload"]


# The backend tells nothing of what it sent, so it is seen passing by.
seen = {}


def see_request(params, **_):
    seen.update(json.loads(params["MessageBody"]), delay=params["DelaySeconds"])


def see_response(parsed, **_):
    seen["id"] = parsed.get("MessageId")


def send(case, channel="any", countdown=0, **extra_data):
    seen.clear()
    notify(silent=True, countdown=countdown, channels=[channel], extra_data=extra_data)
    print(json.dumps({"case": case, **seen}), flush=True)


def email(name):
    return {"subject": f"{RUN} {name}", "body": f"Grüße {name} 🚀", "from_email": "noreply@example.com", "to": [f"{name}@example.com"]}


def slack(name):
    return {"channel": "#general", "text": f"{RUN} {name}"}


def main():
    boto3.setup_default_session()
    boto3.DEFAULT_SESSION.events.register("provide-client-params.sqs.SendMessage", see_request)
    boto3.DEFAULT_SESSION.events.register("after-call.sqs.SendMessage", see_response)

    sms = {"body": RUN, "originator": "+15550100", "recipients": ["+15550101"]}
    pusher = {"channels": "orders", "event_name": "new", "data": {"message": RUN}}
    fcm_web = {"title": RUN, "body": "Hello", "click_action": "https://example.com", "icon": "https://example.com/icon.png", "to": "token"}

    send("email", provider="email", payload=email("single"))
    send("email_bulk", provider="email", payload=[email("bulk-1"), email("bulk-2")], context={"bulk": True})
    send("email_countdown", provider="email", payload=email("countdown"), countdown=2)
    send("slack", provider="slack", payload=slack("single"))
    send("slack_bulk", provider="slack", payload=[slack("bulk-1"), slack("bulk-2")], context={"bulk": True})
    send("django_sms", provider="django_sms", payload=sms)
    send("pusher_channels", provider="pusher_channels", payload=pusher)
    send("fcm_web", provider="fcm_web", payload=fcm_web)
    send("custom", provider="audit", payload={"run": RUN, "order": 42})
    # These two channels are its own, and build the payload themselves.
    send("console", channel="console", context={"run": RUN})
    send("django_channels", channel="websocket", context={"channel_layer": "default", "destination": "room-1", "message": {"text": RUN}})


main()

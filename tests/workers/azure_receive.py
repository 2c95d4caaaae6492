"""Receives by Azure's own SDKs, and prints each message as a line of JSON.

    azure_receive.py servicebus CONNECTION_STRING queue NAME COUNT
    azure_receive.py servicebus CONNECTION_STRING topic NAME SUBSCRIPTION COUNT
    azure_receive.py storage CONNECTION_STRING QUEUE COUNT
    azure_receive.py storage-make CONNECTION_STRING QUEUE
    azure_receive.py storage-sas CONNECTION_STRING
    azure_receive.py sign RESOURCE POLICY KEY EXPIRY
"""

import json
import sys
import time
from datetime import datetime, timedelta, timezone

WAIT = 20


def servicebus(connection_string, kind, *where):
    from azure.servicebus import ServiceBusClient

    *names, count = where
    client = ServiceBusClient.from_connection_string(connection_string)
    open_receiver = client.get_queue_receiver if kind == "queue" else client.get_subscription_receiver
    with client, open_receiver(*names, max_wait_time=WAIT) as receiver:
        left = int(count)
        while left:
            messages = receiver.receive_messages(max_message_count=left, max_wait_time=WAIT)
            if not messages:
                break
            for message in messages:
                left -= 1
                print(
                    json.dumps(
                        {
                            "id": message.message_id,
                            "subject": message.subject,
                            "session": message.session_id,
                            "content_type": message.content_type,
                            "ttl": message.time_to_live.total_seconds() if message.time_to_live else None,
                            "body": b"".join(message.body).decode(),
                            "at": time.time(),
                        }
                    ),
                    flush=True,
                )
                receiver.complete_message(message)


def storage(connection_string, queue, count):
    from azure.storage.queue import QueueClient

    client, left, end = QueueClient.from_connection_string(connection_string, queue), int(count), time.time() + WAIT
    while left and time.time() < end:
        for message in client.receive_messages(messages_per_page=32, visibility_timeout=300):
            left -= 1
            kept = (message.expires_on - message.inserted_on).total_seconds()
            print(json.dumps({"id": message.id, "body": message.content, "kept": kept, "at": time.time()}), flush=True)
            client.delete_message(message)
        time.sleep(0.05)


def storage_make(connection_string, queue):
    from azure.storage.queue import QueueClient

    QueueClient.from_connection_string(connection_string, queue).create_queue()


def storage_sas(connection_string):
    from azure.storage.queue import AccountSasPermissions, QueueServiceClient, ResourceTypes, generate_account_sas

    client = QueueServiceClient.from_connection_string(connection_string)
    print(
        generate_account_sas(
            client.account_name,
            client.credential.account_key,
            ResourceTypes(object=True),
            AccountSasPermissions(add=True),
            datetime.now(timezone.utc) + timedelta(hours=1),
        )
    )


def sign(resource, policy, key, expiry):
    from azure.servicebus._pyamqp.utils import generate_sas_token

    print(generate_sas_token(resource, policy, key, int(expiry)))


globals()[sys.argv[1].replace("-", "_")](*sys.argv[2:])

"""Does with the queue SENDER_QUEUE_URL of a local server, on which nobody else works, what boto3 can, and sends a task to the queue default. boto3 itself checks
the digests of what it sends and receives."""

import json
import os

import boto3
from botocore.exceptions import ClientError

URL = os.environ["SENDER_QUEUE_URL"]
ATTRIBUTES = {
    "text": {"DataType": "String", "StringValue": "Grüße 🚀"},
    "number": {"DataType": "Number.int", "StringValue": "7"},
    "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
}
BODY = 'Grüße <&> "🚀"\r\n\t'

sqs = boto3.client("sqs")


def error_of(call, **parameters):
    try:
        call(**parameters)
    except ClientError as error:
        return error.response["Error"]["Code"], error
    raise AssertionError("it was taken")


def receive(**parameters):
    return sqs.receive_message(QueueUrl=URL, MessageAttributeNames=["All"], AttributeNames=["All"], MaxNumberOfMessages=10, **parameters).get("Messages", [])


def find_queues():
    assert sqs.get_queue_url(QueueName="celery")["QueueUrl"] == URL
    assert sqs.create_queue(QueueName="celery", Attributes={"VisibilityTimeout": "60"})["QueueUrl"] == URL
    assert sqs.list_queues(QueueNamePrefix="celery")["QueueUrls"] == [URL, URL + ".fifo"]
    pages = sqs.get_paginator("list_queues").paginate(PaginationConfig={"PageSize": 1})
    assert [url.rsplit("/", 1)[-1] for page in pages for url in page["QueueUrls"]] == ["celery", "celery.fifo", "default"]
    code, error = error_of(sqs.get_queue_url, QueueName="nobody")
    assert code == "AWS.SimpleQueueService.NonExistentQueue", code
    assert isinstance(error, sqs.exceptions.QueueDoesNotExist)
    assert sqs.get_queue_attributes(QueueUrl=URL, AttributeNames=["All"])["Attributes"]["QueueArn"].endswith(":celery")


def send_and_receive():
    sent = sqs.send_message(QueueUrl=URL, MessageBody=BODY, MessageAttributes=ATTRIBUTES)
    [message] = receive(WaitTimeSeconds=1)
    assert (message["MessageId"], message["Body"], message["MessageAttributes"]) == (sent["MessageId"], BODY, ATTRIBUTES), message
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    assert receive() == []
    sqs.change_message_visibility(QueueUrl=URL, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    [message] = receive()
    assert message["Attributes"]["ApproximateReceiveCount"] == "2"
    sqs.delete_message(QueueUrl=URL, ReceiptHandle=message["ReceiptHandle"])
    assert counts() == ("0", "0", "0")


def counts():
    names = ["", "NotVisible", "Delayed"]
    attributes = sqs.get_queue_attributes(QueueUrl=URL, AttributeNames=["All"])["Attributes"]
    return tuple(attributes[f"ApproximateNumberOfMessages{name}"] for name in names)


def in_batches():
    entries = [{"Id": f"e{i}", "MessageBody": f"body {i}", "MessageAttributes": ATTRIBUTES} for i in range(9)]
    answer = sqs.send_message_batch(QueueUrl=URL, Entries=[*entries, {"Id": "late", "MessageBody": "x", "DelaySeconds": 901}])
    assert [sent["Id"] for sent in answer["Successful"]] == [entry["Id"] for entry in entries]
    assert [(failed["Id"], failed["Code"], failed["SenderFault"]) for failed in answer["Failed"]] == [("late", "InvalidParameterValue", True)]
    messages = receive()
    assert sorted(message["Body"] for message in messages) == [f"body {i}" for i in range(9)]
    handles = [{"Id": str(i), "ReceiptHandle": message["ReceiptHandle"]} for i, message in enumerate(messages)]
    shown = sqs.change_message_visibility_batch(QueueUrl=URL, Entries=[{**handle, "VisibilityTimeout": 600} for handle in handles])
    assert len(shown["Successful"]) == 9, shown
    deleted = sqs.delete_message_batch(QueueUrl=URL, Entries=[*handles, {"Id": "wrong", "ReceiptHandle": "?"}])
    assert (len(deleted["Successful"]), deleted["Failed"][0]["Code"]) == (9, "ReceiptHandleIsInvalid"), deleted
    sqs.send_message(QueueUrl=URL, MessageBody="later", DelaySeconds=900)
    assert counts() == ("0", "0", "1")
    sqs.purge_queue(QueueUrl=URL)
    assert counts() == ("0", "0", "0")


def keep_order():
    url = URL + ".fifo"
    code, _ = error_of(sqs.send_message, QueueUrl=url, MessageBody="x")
    assert code == "MissingParameter", code
    sent = [sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId="g", MessageDeduplicationId=body) for body in ("a", "b", "a")]
    assert sent[2]["MessageId"] == sent[0]["MessageId"] and sent[0]["SequenceNumber"] < sent[1]["SequenceNumber"]
    for body in ("a", "b"):
        [message] = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"])["Messages"]
        assert (message["Body"], message["Attributes"]["MessageGroupId"]) == (body, "g")
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def main():
    find_queues()
    send_and_receive()
    in_batches()
    keep_order()
    body = json.dumps({"task": "console", "kwargs": {"text": "boto3"}})
    print(json.dumps({"id": sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName="default")["QueueUrl"], MessageBody=body)["MessageId"]}))


main()

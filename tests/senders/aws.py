"""Has services of AWS send to SENDER_QUEUE_URL. SENDER_MODES names them, all unless set: sns,eventbridge,s3,scheduler. What it creates, it leaves behind."""

import json
import os
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import boto3

RUN = os.environ["SENDER_RUN"]
QUEUE_URL = os.environ["SENDER_QUEUE_URL"]
# Of what is created here; SENDER_RUN may not be fit for a bucket.
NAME = f"sender-{uuid4().hex[:12]}"


def tell(case, id, **more):
    print(json.dumps({"case": case, "id": id, **more}), flush=True)


def task(case):
    return {"task": "app.echo", "args": [RUN, case], "kwargs": {"greeting": "Grüße 🚀"}}


def allow_services(sqs, queue_arn):
    """Lets services send to the queue, beside what its policy allows already."""
    policy = sqs.get_queue_attributes(QueueUrl=QUEUE_URL, AttributeNames=["Policy"]).get("Attributes", {}).get("Policy")
    policy = json.loads(policy) if policy else {"Version": "2012-10-17", "Statement": []}
    services = [f"{service}.amazonaws.com" for service in ("sns", "events", "s3")]
    statement = {"Sid": "Senders", "Effect": "Allow", "Principal": {"Service": services}, "Action": "sqs:SendMessage", "Resource": queue_arn}
    policy["Statement"] = [other for other in policy["Statement"] if other.get("Sid") != "Senders"] + [statement]
    sqs.set_queue_attributes(QueueUrl=QUEUE_URL, Attributes={"Policy": json.dumps(policy)})


def send_by_sns(queue_arn):
    sns = boto3.client("sns")
    attributes = {
        "tenant": {"DataType": "String", "StringValue": "acme"},
        "count": {"DataType": "Number", "StringValue": "7"},
    }
    for case, raw in (("sns", "false"), ("sns_raw", "true")):
        topic = sns.create_topic(Name=f"{NAME}-{case}")["TopicArn"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn, Attributes={"RawMessageDelivery": raw})
        message = task(case)
        sent = sns.publish(TopicArn=topic, Subject=f"Subject {RUN}", Message=json.dumps(message), MessageAttributes=attributes)
        tell(case, sent["MessageId"], message=message, topic=topic)
        if case == "sns":
            alarm = {"AlarmName": f"alarm {RUN}", "NewStateValue": "ALARM", "Trigger": {"Threshold": 10.0}}
            for case, message in (("sns_alarm", json.dumps(alarm)), ("sns_text", f"A text of {RUN}")):
                sent = sns.publish(TopicArn=topic, Subject=f"Subject {RUN}", Message=message)
                tell(case, sent["MessageId"], topic=topic)


def send_by_eventbridge(queue_arn):
    events = boto3.client("events")
    source = f"shop.{NAME}"
    events.put_rule(Name=NAME, EventPattern=json.dumps({"source": [source]}))
    events.put_targets(Rule=NAME, Targets=[{"Id": "queue", "Arn": queue_arn}])
    entries = {
        "eventbridge_task": {"DetailType": "Task Requested", "Detail": json.dumps(task("eventbridge_task"))},
        "eventbridge_event": {"DetailType": "Order Shipped", "Detail": json.dumps({"run": RUN, "order": 42})},
    }
    for case, entry in entries.items():
        answer = events.put_events(Entries=[{"Source": source, "Resources": [f"arn:aws:shop:::{NAME}"], **entry}])
        if answer["FailedEntryCount"]:
            raise RuntimeError(answer)
        tell(case, answer["Entries"][0]["EventId"], source=source, detail_type=entry["DetailType"], detail=json.loads(entry["Detail"]))


def send_by_s3(queue_arn):
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=NAME)
    # S3 sends its test event by this.
    notification = {"QueueConfigurations": [{"QueueArn": queue_arn, "Events": ["s3:ObjectCreated:*"]}]}
    s3.put_bucket_notification_configuration(Bucket=NAME, NotificationConfiguration=notification)
    key = f"in box/Grüße+{RUN}.txt"
    s3.put_object(Bucket=NAME, Key=key, Body=b"hello")
    tell("s3", None, bucket=NAME, key=key, size=5)


def send_by_scheduler(queue_arn):
    trust = {"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole"}
    send = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue_arn}
    iam = boto3.client("iam")
    role = iam.create_role(RoleName=NAME, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": trust}))["Role"]["Arn"]
    iam.put_role_policy(RoleName=NAME, PolicyName="send", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": send}))
    message = task("scheduler")
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=3)
    schedule = boto3.client("scheduler").create_schedule(
        Name=NAME,
        ScheduleExpression=f"at({due:%Y-%m-%dT%H:%M:%S})",
        FlexibleTimeWindow={"Mode": "OFF"},
        ActionAfterCompletion="DELETE",
        Target={"Arn": queue_arn, "RoleArn": role, "Input": json.dumps(message)},
    )
    tell("scheduler", None, message=message, not_before=due.isoformat(), schedule=schedule["ScheduleArn"])


SENDERS = {"sns": send_by_sns, "eventbridge": send_by_eventbridge, "s3": send_by_s3, "scheduler": send_by_scheduler}


def main():
    modes = os.environ.get("SENDER_MODES") or ",".join(SENDERS)
    sqs = boto3.client("sqs")
    queue_arn = sqs.get_queue_attributes(QueueUrl=QUEUE_URL, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allow_services(sqs, queue_arn)
    for mode in modes.split(","):
        SENDERS[mode](queue_arn)


main()

"""Makes the emulator do for a deployed stack what AWS does by itself, and tells the tests where everything is, as shell exports."""

import io
import json
import os
import shlex
import sys
import zipfile

import boto3

STACK = sys.argv[1]
HANDLER = "users-handler"
HANDLER_FILE = "docs/examples/lambda/handler.py"


def outputs():
    stack = boto3.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def role(function):
    return boto3.client("lambda").get_function(FunctionName=f"{STACK}-{function}")["Configuration"]["Role"].rsplit("/", 1)[-1]


def give_numbers_as_numbers():
    """Its CloudFormation hands a parameter's value over as text, which its poller cannot compare. CloudFormation itself converts it."""
    client = boto3.client("lambda")
    for mapping in client.list_event_source_mappings(FunctionName=f"{STACK}-consumer")["EventSourceMappings"]:
        client.update_event_source_mapping(UUID=mapping["UUID"], BatchSize=int(mapping["BatchSize"]), ScalingConfig={"MaximumConcurrency": 20})
    for mapping in client.list_event_source_mappings(FunctionName=f"{STACK}-outbox")["EventSourceMappings"]:
        client.update_event_source_mapping(UUID=mapping["UUID"], BatchSize=int(mapping["BatchSize"]))


def allow_what_it_names_otherwise(queue_arns, dead_letter_arns):
    """It asks for sqs:…Batch, which on AWS is part of the action without it, takes every schedule to be of the group default, lists schedules of no
    resource, and does not see whose identity a mail is sent from."""
    send = {"Effect": "Allow", "Action": "sqs:SendMessageBatch", "Resource": queue_arns}
    bury = {"Effect": "Allow", "Action": ["sqs:DeleteMessageBatch", "sqs:ChangeMessageVisibilityBatch"], "Resource": dead_letter_arns}
    schedules = queue_arns[0].replace(":sqs:", ":scheduler:").rsplit(":", 1)[0] + ":schedule/default/*"
    put_policy("enqueue", [send, {"Effect": "Allow", "Action": "scheduler:CreateSchedule", "Resource": schedules}])
    actions = [f"scheduler:{verb}Schedule" for verb in ("Create", "Get", "Update", "Delete")]
    put_policy("status", [send, bury, {"Effect": "Allow", "Action": actions, "Resource": schedules}, {"Effect": "Allow", "Action": "scheduler:ListSchedules", "Resource": "*"}])
    put_policy("outbox", [send])
    put_policy("consumer", [send, {"Effect": "Allow", "Action": "ses:SendEmail", "Resource": "*"}])


def put_policy(function, statements):
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    boto3.client("iam").put_role_policy(RoleName=role(function), PolicyName="emulator", PolicyDocument=policy)


def make_the_users_function():
    """The example of a handler: what a user's own function is to the stack."""
    client, role = boto3.client("lambda"), boto3.client("iam").create_role(RoleName=HANDLER, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as package:
        package.write(HANDLER_FILE, "handler.py")
    version = f"python3.{sys.version_info.minor}"
    client.create_function(FunctionName=HANDLER, Runtime=version, Role=role, Handler="handler.handle", Code={"ZipFile": code.getvalue()}, Timeout=20)


def let_slack_be_the_application():
    """Slack's provider calls a loopback address in place of Slack, which the template has no parameter for."""
    client, name = boto3.client("lambda"), f"{STACK}-consumer"
    told = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    # The emulator tells a number of the template as a number, and AWS as text.
    variables = {setting: str(value) for setting, value in told.items()}
    slack = {"ERRAND_SLACK_URL": f"http://127.0.0.1:{os.environ['TEST_APP_PORT']}/slack"}
    client.update_function_configuration(FunctionName=name, Environment={"Variables": variables | slack})


def main():
    found = outputs()
    let_slack_be_the_application()
    make_the_users_function()
    give_numbers_as_numbers()
    more = json.loads(found["QueueUrls"])
    arns = lambda urls: [found["QueueArn"].rsplit(":", 1)[0] + ":" + url.rsplit("/", 1)[-1] for url in urls]
    dead_letters = [found["DeadLetterUrl"], *(f"/{STACK}-dead-{name}" for name in more)]
    allow_what_it_names_otherwise(arns([found["QueueUrl"], *more.values()]), arns(dead_letters))
    boto3.client("sesv2").create_email_identity(EmailIdentity="example.com")
    facts = {
        "TEST_AWS_ENDPOINT": os.environ["AWS_ENDPOINT_URL"],
        "TEST_API_ID": found["ApiId"],
        "TEST_EVENTS_URL": f"{os.environ['AWS_ENDPOINT_URL']}/_aws/execute-api/{found['ApiId']}/$default/v1/events",
        "TEST_QUEUE_URL": found["QueueUrl"],
        "TEST_QUEUE_ARN": found["QueueArn"],
        "TEST_DEAD_LETTER_URL": found["DeadLetterUrl"],
        "TEST_SCHEDULE_GROUP": found["ScheduleGroupName"],
        "TEST_HANDLER": HANDLER,
    }
    for name, value in facts.items():
        print(f"export {name}={shlex.quote(value)}")


main()

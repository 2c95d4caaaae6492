"""Prints the event of a call with a thousand tasks, made of the event of a call with one: tests/bench/call.json."""

import json

event = json.load(open("tests/bench/call.json"))
task = json.loads(event["body"])
task.pop("id", None)
event["rawPath"] = event["requestContext"]["http"]["path"] = "/v1/tasks/batch"
event["routeKey"] = event["requestContext"]["routeKey"] = "POST /v1/tasks/batch"
event["body"] = json.dumps({"tasks": [task] * 1000})
print(json.dumps(event))

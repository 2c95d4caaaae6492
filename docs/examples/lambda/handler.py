"""A function that Errand runs tasks with: route them here with ERRAND_ROUTES='{"reports.*": {"lambda": "NAME-OF-THIS-FUNCTION"}}'."""

import json
import urllib.request

TASKS = {}


def task(function):
    """Makes a function a task of the name reports.<its name>."""
    TASKS[f"reports.{function.__name__}"] = function
    return function


@task
def total(*amounts, currency="EUR"):
    return {"total": sum(amounts), "currency": currency}


@task
def broken():
    raise ValueError("there is nothing to report")


def handle(event, context):
    """`event` is {"task", "args", "kwargs", "id", "attempt"}; what is returned is the task's return value, and what is raised its error.

    With {"wait": false} in the route, Errand does not wait: `event["report"]` then says where and with which token to report.
    """
    run = TASKS[event["task"]]
    if "report" not in event:
        return run(*event["args"], **event["kwargs"])
    try:
        told = {"status": "SUCCESSFUL", "return_value": run(*event["args"], **event["kwargs"])}
    except Exception as error:
        told = {"status": "FAILED", "errors": [{"exception_class_path": type(error).__name__, "traceback": str(error)}]}
    report(event["report"], told | {"worker_id": getattr(context, "log_stream_name", "lambda")})


def report(to, told):
    headers = {"authorization": f"Bearer {to['token']}", "content-type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(to["url"], json.dumps(told).encode(), headers), timeout=10)

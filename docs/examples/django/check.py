"""Checks the backend and the worker against an Errand that runs: python check.py, with ERRAND_URL and ERRAND_API_KEY."""

import os
import sys
import time
from datetime import timedelta

import django
from asgiref.sync import async_to_sync

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
django.setup()

from django.utils import timezone

try:
    from django.tasks import TaskResultStatus
    from django.tasks.exceptions import TaskResultDoesNotExist, TaskResultMismatch
except ImportError:
    from django_tasks import TaskResultStatus
    from django_tasks.exceptions import TaskResultDoesNotExist, TaskResultMismatch

from shop.tasks import add, add_async, attempt, fail

DEADLINE_SECONDS = 30


def expect(what, got, expected):
    if got != expected:
        raise AssertionError(f"{what}: expected {expected!r}, got {got!r}")


def wait(result):
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not result.is_finished:
        if time.monotonic() > deadline:
            raise AssertionError(f"{result.task.name} is {result.status} after {DEADLINE_SECONDS} seconds")
        time.sleep(0.1)
        result.refresh()
    return result


def succeeds(result, value):
    wait(result)
    expect(f"status of {result.task.name} (errors: {result.errors})", result.status, TaskResultStatus.SUCCESSFUL)
    expect(f"value of {result.task.name}", result.return_value, value)


def raises(expected, call, *args):
    try:
        got = call(*args)
    except expected:
        return
    raise AssertionError(f"expected {expected.__name__}, got {got!r}")


def a_task_returns_its_value():
    result = add.enqueue(2, 3)
    succeeds(result, 5)
    expect("attempts", result.attempts, 1)


def named_arguments_arrive():
    succeeds(add.enqueue(a="é", b="\n"), "é\n")


def a_coroutine_is_sent_and_run():
    succeeds(async_to_sync(add_async.aenqueue)(2, 3), 5)


def a_task_is_told_its_attempt():
    succeeds(attempt.enqueue(), 1)


def a_failure_is_told_and_not_tried_again():
    result = wait(fail.enqueue())
    expect("status", result.status, TaskResultStatus.FAILED)
    expect("exceptions", [error.exception_class_path for error in result.errors], ["builtins.ValueError"])
    expect("traceback names the reason", "this task always fails" in result.errors[0].traceback, True)
    expect("attempts", result.attempts, 1)


def a_result_is_found_by_its_id():
    sent = wait(add.enqueue(2, 3))
    found = add.get_result(sent.id)
    expect("result", found.return_value, 5)
    expect("arguments", (found.args, found.kwargs), ([2, 3], {}))
    raises(TaskResultMismatch, fail.get_result, sent.id)


def an_unknown_id_has_no_result():
    raises(TaskResultDoesNotExist, add.get_result, "no such/task?")


def a_deferred_task_is_run_no_earlier():
    run_after = timezone.now() + timedelta(seconds=2)
    result = add.using(run_after=run_after).enqueue(2, 3)
    expect("status", result.status, TaskResultStatus.READY)
    succeeds(result, 5)
    expect(f"started at {result.started_at}, not before {run_after}", result.started_at >= run_after, True)


CHECKS = [
    a_task_returns_its_value,
    named_arguments_arrive,
    a_coroutine_is_sent_and_run,
    a_task_is_told_its_attempt,
    a_failure_is_told_and_not_tried_again,
    a_result_is_found_by_its_id,
    an_unknown_id_has_no_result,
    a_deferred_task_is_run_no_earlier,
]

if __name__ == "__main__":
    failed = 0
    for check in CHECKS:
        try:
            check()
        except Exception as error:
            failed += 1
            print(f"django: {check.__name__}: {type(error).__name__}: {error}", file=sys.stderr)
    if failed:
        sys.exit(1)
    print(f"django: {len(CHECKS)} checks passed")

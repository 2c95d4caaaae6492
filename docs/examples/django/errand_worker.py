"""The view to which Errand posts each task that is due: it runs the task and answers with how it ended.

Errand tries a task again when it is answered 503, or not at all; 200 and 422 end it.
"""

import base64
import binascii
import hashlib
import hmac
import json
import math
import os
import socket
import time
from traceback import format_exception

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.http import HttpResponse
from django.utils import timezone
from django.utils.module_loading import import_string
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

try:
    from django.tasks import task_backends
    from django.tasks.base import Task, TaskContext, TaskError, TaskResult, TaskResultStatus
    from django.tasks.signals import task_finished, task_started
    from django.utils.json import normalize_json
except ImportError:
    from django_tasks import task_backends
    from django_tasks.base import Task, TaskContext, TaskError, TaskResult, TaskResultStatus
    from django_tasks.signals import task_finished, task_started
    from django_tasks.utils import normalize_json

OLDEST_SECONDS = 300


class Retry(Exception):
    """Raised by a task that wants to be tried again, in so many seconds where it says so."""

    def __init__(self, seconds=None):
        super().__init__("to be tried again" if seconds is None else f"to be tried again in {seconds} seconds")
        self.seconds = seconds


class InvalidCall(Exception):
    """What was posted names no task of this project, or has not the form of a call."""


# Not atomic: a failure is answered, not raised, so ATOMIC_REQUESTS would commit half of the task's work. A task opens its own transactions.
@transaction.non_atomic_requests
@csrf_exempt
@require_POST
def run_task(request):
    if not _signed(request):
        return HttpResponse("no valid signature", status=401, content_type="text/plain")
    try:
        result = _read(request.body)
    except InvalidCall as error:
        return _failure(_error(error))
    return _run(result)


def _signed(request):
    """Whether Errand sent this, and lately: the check of the Standard Webhooks specification."""
    message = [request.headers.get(f"webhook-{part}", "") for part in ("id", "timestamp")]
    signed = ".".join(message).encode() + b"." + request.body
    expected = b"v1," + base64.b64encode(hmac.digest(_key(), signed, hashlib.sha256))
    given = request.headers.get("webhook-signature", "").split()
    if not any(hmac.compare_digest(expected, one.encode()) for one in given):
        return False
    try:
        return abs(time.time() - int(message[1])) <= OLDEST_SECONDS
    except ValueError:
        return False


def _key():
    """Without a proper secret no call is taken: anyone could sign with an empty one."""
    prefix, _, encoded = settings.ERRAND_HTTP_SECRET.partition("_")
    try:
        key = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        key = b""
    if prefix != "whsec" or len(key) < 24:
        raise ImproperlyConfigured("ERRAND_HTTP_SECRET: expected whsec_ and the base64 of 24 to 64 bytes")
    return key


def _read(body):
    """The task that is to run, as a result that is not finished. Nothing but a Task is ever called."""
    try:
        call = json.loads(body)
        name, args, kwargs, id, attempt = (call[field] for field in ("task", "args", "kwargs", "id", "attempt"))
        task = import_string(name)
    except (ValueError, LookupError, TypeError, AttributeError, ImportError) as error:
        raise InvalidCall(f"no call of a task: {error!r}") from error
    if not (isinstance(task, Task) and isinstance(args, list) and isinstance(kwargs, dict) and isinstance(attempt, int)):
        raise InvalidCall(f"no call of a task: {name}")
    now = timezone.now()
    return TaskResult(
        task=task,
        id=id,
        status=TaskResultStatus.RUNNING,
        enqueued_at=None,  # Errand knows; the call does not say
        started_at=now,
        last_attempted_at=now,
        finished_at=None,
        args=args,
        kwargs=kwargs,
        backend=task.backend,
        errors=[],
        worker_ids=[f"{socket.gethostname()}:{os.getpid()}"] * attempt,
    )


def _run(result):
    """Runs a task as Django's immediate backend does, with the same signals."""
    task, backend = result.task, type(task_backends[result.task.backend])
    task_started.send(backend, task_result=result)
    context = [TaskContext(task_result=result)] if task.takes_context else []
    try:
        value = normalize_json(task.call(*context, *result.args, **result.kwargs))
        answer = HttpResponse(json.dumps(value, allow_nan=False, ensure_ascii=False).encode(), content_type="application/json")
        _finish(result, TaskResultStatus.SUCCESSFUL, value)
    except Retry as error:
        answer = _failure(_error(error), 503)
        if error.seconds is not None:
            answer["Retry-After"] = str(max(0, math.ceil(error.seconds)))
        return answer
    except Exception as error:
        result.errors.append(_error(error))
        _finish(result, TaskResultStatus.FAILED)
        answer = _failure(result.errors[0])
        task_finished.send(backend, task_result=result)  # here, where logging finds the exception
        return answer
    task_finished.send(backend, task_result=result)
    return answer


def _finish(result, status, value=None):
    changes = {"finished_at": timezone.now(), "status": status, "_return_value": value}
    for name, changed in changes.items():
        object.__setattr__(result, name, changed)  # the class is frozen


def _error(error):
    kind = type(error)
    return TaskError(exception_class_path=f"{kind.__module__}.{kind.__qualname__}", traceback="".join(format_exception(error)))


def _failure(error, status=422):
    told = {"exception_class_path": error.exception_class_path, "traceback": error.traceback}
    body = json.dumps({"errors": [told]}, ensure_ascii=False).encode(errors="replace")
    return HttpResponse(body, status=status, content_type="application/json")

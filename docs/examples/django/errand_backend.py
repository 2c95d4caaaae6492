"""A task backend that sends tasks to Errand and asks it for their results.

For Django 6's tasks, or the package django-tasks on Django 5. Nothing else is needed.
"""

import http.client
import json
import urllib.error
import urllib.request
from datetime import timedelta
from datetime import timezone as tz
from urllib.parse import quote

from django.conf import settings
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.module_loading import import_string

try:
    from django.tasks.backends.base import BaseTaskBackend
    from django.tasks.base import Task, TaskError, TaskResult, TaskResultStatus
    from django.tasks.exceptions import TaskResultDoesNotExist
    from django.tasks.signals import task_enqueued
    from django.utils.json import normalize_json
except ImportError:
    from django_tasks.backends.base import BaseTaskBackend
    from django_tasks.base import Task, TaskError, TaskResult, TaskResultStatus
    from django_tasks.exceptions import TaskResultDoesNotExist
    from django_tasks.signals import task_enqueued
    from django_tasks.utils import normalize_json


class ErrandError(Exception):
    """A call to Errand failed. `status` is the HTTP status, None when there was no answer."""

    def __init__(self, message, status=None):
        super().__init__(message)
        self.status = status


class TaskCancelled(Exception):
    """Stands in a result's errors: the task was cancelled before it ran."""


class TaskExpired(Exception):
    """Stands in a result's errors: the task's time was over before it ran."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Refuses redirects: urllib would take the key to wherever they lead, and make a GET of a POST."""

    def redirect_request(self, *args):
        return None


class ErrandBackend(BaseTaskBackend):
    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = False

    def __init__(self, alias, params):
        super().__init__(alias, params)
        self.url = self.options.get("url", "http://127.0.0.1:3000").rstrip("/")
        self.key = self.options.get("key")
        self.timeout = self.options.get("timeout", 10)
        self.opener = urllib.request.build_opener(_NoRedirects)

    def enqueue(self, task, args, kwargs):
        self.validate_task(task)
        args, kwargs = normalize_json(args), normalize_json(kwargs)
        body = {"task": task.module_path, "args": args, "kwargs": kwargs}
        if task.queue_name != "default":
            body["queue"] = task.queue_name
        if task.run_after is not None:
            body["run_after"] = _rfc3339(task.run_after)
        answer = self._call("POST", "/v1/tasks", body)
        # Errand may leave out large arguments from what it tells.
        result = self._result(task, {**answer, "args": args, "kwargs": kwargs})
        task_enqueued.send(type(self), task_result=result)
        return result

    def get_result(self, result_id):
        try:
            answer = self._call("GET", f"/v1/tasks/{quote(str(result_id), safe='')}")
        except ErrandError as error:
            if error.status == 404:
                raise TaskResultDoesNotExist(result_id) from error
            raise
        try:
            task = import_string(answer["task"])
        except ImportError as error:
            raise TaskResultDoesNotExist(f"{result_id}: {answer['task']!r} is no task of this project") from error
        if not isinstance(task, Task):
            raise TaskResultDoesNotExist(f"{result_id}: {answer['task']!r} is no task of this project")
        return self._result(task.using(backend=self.alias, run_after=_time(answer["run_after"])), answer)

    def _call(self, method, path, body=None):
        """Errand's answer. What is raised tells the server's reason and never the key."""
        headers = {"content-type": "application/json"}
        if self.key:
            headers["authorization"] = f"Bearer {self.key}"
        data = None if body is None else json.dumps(body, allow_nan=False).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with self.opener.open(request, timeout=self.timeout) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                raise ErrandError(f"Errand answered {error.code}: {_reason(error)}", error.code) from None
        except (OSError, http.client.HTTPException) as error:
            raise ErrandError(f"Errand at {self.url} does not answer: {error}") from error
        except ValueError as error:
            raise ErrandError(f"what answers at {self.url} is not Errand: {error}") from error

    def _result(self, task, answer):
        status = answer["status"]
        errors = [TaskError(exception_class_path=e["exception_class_path"], traceback=e["traceback"]) for e in answer["errors"]]
        # Django has no status for these three.
        if status == "SCHEDULED":
            status = "READY"
        elif status in ("CANCELLED", "EXPIRED"):
            ended = TaskCancelled if status == "CANCELLED" else TaskExpired
            errors.append(TaskError(exception_class_path=f"{__name__}.{ended.__name__}", traceback=""))
            status = "FAILED"
        # Django counts attempts by their workers, of which Errand keeps the last few.
        attempts = answer["attempts"]
        workers = ([""] * attempts + answer["worker_ids"])[-attempts:] if attempts else []
        result = TaskResult(
            task=task,
            id=answer["id"],
            status=TaskResultStatus(status),
            enqueued_at=_time(answer["enqueued_at"]),
            started_at=_time(answer["started_at"]),
            finished_at=_time(answer["finished_at"]),
            last_attempted_at=_time(answer["last_attempted_at"]),
            args=answer["args"] or [],
            kwargs=answer["kwargs"] or {},
            backend=self.alias,
            errors=errors,
            worker_ids=workers,
        )
        object.__setattr__(result, "_return_value", answer["return_value"])  # the class is frozen
        return result


def _rfc3339(moment):
    """In whole milliseconds, as Errand keeps it, and rounded up, since the task must not run earlier."""
    if timezone.is_naive(moment):
        moment = timezone.make_aware(moment)
    moment = moment.astimezone(tz.utc) + timedelta(microseconds=999)
    return moment.isoformat(timespec="milliseconds")


def _time(text):
    moment = parse_datetime(text) if text else None
    return timezone.make_naive(moment) if moment and not settings.USE_TZ else moment


def _reason(error):
    """What a problem document (RFC 9457) says, its wrong fields included."""
    try:
        problem = json.load(error)
        fields = [f"{e['pointer']}: {e['detail']}" for e in problem.get("errors", [])]
        return "; ".join([problem.get("detail") or problem["title"], *fields])
    except (ValueError, LookupError, TypeError, AttributeError, OSError, http.client.HTTPException):
        return error.reason

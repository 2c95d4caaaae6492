"""Sends a task by the generated client, reads its result, and is told what is wrong with another one."""

import os

from errand_client import AuthenticatedClient
from errand_client.api.tasks import get_task, send_task
from errand_client.models import KwargsEmail, Problem, TaskEmail, TaskResult

client = AuthenticatedClient(base_url=os.environ["ERRAND_URL"], token=os.environ["ERRAND_API_KEY"])

mail = KwargsEmail(to=["you@example.com"], subject="Hello", body="It works.")
sent = send_task.sync(client=client, body=TaskEmail(task="email", kwargs=mail))
assert isinstance(sent, TaskResult), sent

result = get_task.sync(sent.id, client=client, wait=20)
assert isinstance(result, TaskResult), result
print(result.id, result.status.value)

refused = send_task.sync(client=client, body=TaskEmail(task="email", kwargs=KwargsEmail(to=["nobody"], subject="Hello", body="…")))
assert isinstance(refused, Problem), refused
for error in refused.errors or []:
    print(error.pointer, error.detail)

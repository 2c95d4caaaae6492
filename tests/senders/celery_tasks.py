"""Sends tasks to SENDER_QUEUE_URL with Celery. `celery_tasks.py send` sends one of each kind and waits for none; `celery_tasks.py results` waits for the
results in CELERY_RESULT_URL. No worker of Celery runs: the bodies of the tasks are elsewhere."""

import json
import os
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from celery import Celery, chain, group
from celery.exceptions import TimeoutError as NoResult

RUN = os.environ["SENDER_RUN"]
LONG_TEXT = RUN + " Grüße 🚀" * 20
WAIT_SECONDS = 30


def make_app(**settings):
    app = Celery("sender", broker="sqs://", backend=os.environ.get("CELERY_RESULT_URL"), set_as_current=False)
    app.conf.update(
        broker_transport_options={
            "region": os.environ["AWS_REGION"],
            "predefined_queues": {
                "celery": {
                    "url": os.environ["SENDER_QUEUE_URL"],
                    "access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
                    "secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"],
                }
            },
        },
        **settings,
    )
    return app


app = make_app()


@app.task(name="app.echo")
def echo(*args, **kwargs):
    raise NotImplementedError


@app.task(name="app.refuse")
def refuse(*args):
    raise NotImplementedError


@app.task(name="notify.send_email")
def send_email(to, subject):
    raise NotImplementedError


def tell(case, result, **more):
    print(json.dumps({"case": case, "id": result.id, **more}), flush=True)


def ids_of_chain(last):
    """The ids of a chain's links, the first one first, of the result that it gives: that of the last."""
    ids = []
    while last:
        ids.insert(0, last.id)
        last = last.parent
    return ids


def send_plain():
    tell("delay", echo.delay(RUN, 1, None, [True, {"k": 1.5}]))
    tell("kwargs", send_email.apply_async(kwargs={"to": "to@example.com", "subject": f"{RUN} Grüße 🚀"}))
    for compression in ("zlib", "bzip2"):
        tell(compression, echo.apply_async((LONG_TEXT,), compression=compression), text=LONG_TEXT)
    special = (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), Decimal("1.50"), UUID("00112233-4455-6677-8899-aabbccddeeff"), b"bytes")
    tell("special_types", echo.delay(RUN, *special))
    tell("pickle", echo.apply_async((RUN,), serializer="pickle"))
    old = make_app(task_protocol=1)
    tell("protocol_1", old.send_task("app.echo", (RUN,), {"key": "value"}))


def send_timed():
    due = datetime.now(UTC) + timedelta(seconds=2)
    tell("countdown", echo.apply_async((RUN, "countdown"), countdown=2), not_before=due.isoformat())
    due = datetime.now(UTC) + timedelta(seconds=2)
    tell("eta", echo.apply_async((RUN, "eta"), eta=due), not_before=due.isoformat())
    tell("expired", echo.apply_async((RUN, "expired"), expires=datetime.now(UTC) - timedelta(hours=1)))


def send_canvas():
    ids = ids_of_chain(chain(echo.s(RUN, 1), echo.s(RUN, 2), echo.si(RUN, 3)).apply_async())
    print(json.dumps({"case": "chain", "id": ids[0], "ids": ids}), flush=True)

    parts = group(echo.s(RUN, number) for number in range(3)).apply_async()
    tell("group", parts, ids=[part.id for part in parts])

    # A signature has an id only when it is frozen. Most users do not.
    linked = echo.s(RUN, "linked")
    linked_id = linked.freeze().id
    tell("link", echo.apply_async((RUN, "link"), link=linked, link_error=echo.si(RUN, "never")), linked=linked_id)
    tell("link_without_id", echo.apply_async((RUN, "link_without_id"), link=echo.si(RUN, "linked_without_id")))
    on_error = echo.s(RUN, "on_error")
    on_error_id = on_error.freeze().id
    tell("link_error", refuse.apply_async((RUN,), link=echo.si(RUN, "never"), link_error=on_error), on_error=on_error_id)


def wait_for_results():
    one = echo.delay(RUN, "result")
    tell("result", one, value=one.get(timeout=WAIT_SECONDS), state=one.state)

    last = chain(echo.s(RUN, 1), echo.s(RUN, 2), echo.si(RUN, 3)).apply_async()
    tell("chain_result", last, ids=ids_of_chain(last), value=last.get(timeout=WAIT_SECONDS), state=last.state)

    failed = refuse.delay(RUN)
    try:
        value = failed.get(timeout=WAIT_SECONDS)
    except NoResult:
        raise
    except Exception as error:
        tell("failure", failed, error=type(error).__name__, message=str(error), state=failed.state, traceback=failed.traceback)
    else:
        sys.exit(f"app.refuse returned {value!r}")


def main():
    match sys.argv[1:]:
        case ["send"]:
            send_plain()
            send_timed()
            send_canvas()
        case ["results"]:
            wait_for_results()
        case _:
            sys.exit(__doc__)


main()

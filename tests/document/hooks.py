"""What Schemathesis cannot know: refusals that no schema can say, each with its reason.

A call that fits the document and is refused with 422 for anything else fails the test.
"""

import datetime
import re

import schemathesis

# Where a payload stands: of a bulk, each.
PAYLOAD = r"/kwargs(/\d+)?"

# The pointer of the field (empty: the whole body), what is said of it, and why no schema can say it.
UNSAYABLE = [
    (r"", r"this idempotency-key came with another request", "what came before"),
    (r"/(run_after|expires|countdown)", r"expected a time", "depends on the time of the call"),
    (r"/cron", r"expected", "five fields with rules between them, and a time that comes at all"),
    (r"/rate", r"expected", "limits by unit: a year in minutes, hours or days"),
    (r"/timezone", r"", "the names that the IANA has given"),
    (r"/template", r"there is no template of this name", "what is kept"),
    (r"/channels", r"", "payloads are rendered first, from a template or from what the notification says"),
    (r"/(channels|locales)/.*", r"", "texts are templates: their syntax, and what they name"),
    (r"/callback_url", r"", "what a host may be"),
    (PAYLOAD + r"/(to|cc|bcc|reply_to|from|from_email|recipient_list)(/\d+)?", r"^expected (an e-mail address|at most 50 recipients)", "the grammar of addresses, and a number over three fields"),
    (PAYLOAD + r"/(headers|extra_headers)(/.*)?", r"^expected (an HTTP header|a header|no header|at most)", "what is a header, and which are the service's own"),
    (PAYLOAD + r"/tags", r"^expected no tag", "one that every mail has"),
    (PAYLOAD + r"/attachments/\d+(/(filename|name|content|mimetype|content_type|type|content_id))?", r"^expected (a file|base64|the content|a media type|1 to 78|\[filename)", "base64, media types, and names of files"),
    (PAYLOAD + r"/url", r"^expected an http or https URL", "what a URL is"),
    (PAYLOAD + r"/webhook_url", r"^expected a URL", "what a URL is"),
    (PAYLOAD + r"/blocks(/.*)?", r"^(expected|is required|has|is )", "Slack's limits, for each type of block"),
    (PAYLOAD + r"/channel", r"^is required, since ERRAND_", "what the deployment has set up"),
    (r"/(task|type)", r"^not configured: set", "what the deployment has set up"),
    (r"/data(/.*)?", r"", "an event's data is what its type takes: the schemas of tasks tell"),
    (r"/(data_base64|datacontenttype|time|expirytime|type|partitionkey|traceparent|dataschema|subject|id|source)", r"", "the grammar of CloudEvents' attributes"),
    (r"/(return_value|errors)(/.*)?", r"", "sizes in bytes"),
    (r"/edit(/.*)?", r"", "what becomes of each envelope"),
    (r"/(variables|context|extra_data|obj)(/.*)?", r"", "sizes in bytes, and how deep values are nested"),
    (r"/destination", r"^is for transports that hand over to others", "where a task goes: by its backend, its route or the default"),
    (r"/args", r"is for tasks of one's own", "of a change, the task is one that is kept"),
    (r".*", r"which mean the same", "one value under two names"),
    (r"/(limit|max_attempts|rate)", r"expected a whole number", "a schema takes 7.0 for a whole number"),
    (r"/(since|until)", r"", "times that exist, such as no 30th of February"),
]


def is_unsayable(problem):
    pointer, detail = problem.get("pointer", ""), problem.get("detail", "")
    return any(re.fullmatch(where, pointer, re.DOTALL) and re.search(what, detail) for where, what, _ in UNSAYABLE)


@schemathesis.check
def refusals_can_be_known(ctx, response, case):
    """Of a call that fits the document, a refusal is one that no schema can say."""
    if response.status_code != 422 or case.meta is None or not case.meta.generation.mode.is_positive:
        return
    answer = response.json()
    problems = answer.get("errors") or [{"pointer": "", "detail": answer["detail"]}]
    # Of a change, what it does not say is what is kept, and so is the task whose payload it has to be.
    is_change = case.path == "/v1/schedules/{id}"
    unknown = [problem for problem in problems if not is_unsayable(problem) and not (is_change and problem.get("pointer", "").startswith("/kwargs"))]
    assert not unknown, f"the document does not tell: {unknown}"


def in_days(days, value):
    """A time that many days ahead for one that is any."""
    try:
        datetime.datetime.fromisoformat(value)
    except ValueError:
        return value
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)).isoformat()


# What a schema cannot say of a text, and what is put there so that more than its refusal is tested. A text that the schema does not take stays.
LIFELIKE = {
    "cron": lambda value: "0 9 * * mon-fri",
    "timezone": lambda value: "Europe/Berlin",
    "run_after": lambda value: in_days(1, value),
    "expires": lambda value: in_days(2, value),
    **{name: lambda value: "ann@example.com" for name in ["to", "cc", "bcc", "reply_to", "recipient_list", "from", "from_email"]},
}


# Nothing that is made up leaves this machine.
HERE = {name: lambda value: "http://127.0.0.1:9/" if re.match("https?:", value) else value for name in ["url", "callback_url"]}


def mapped(table, value, name=None):
    if isinstance(value, dict):
        return {key: mapped(table, inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [mapped(table, inner, name) for inner in value]
    return table[name](value) if isinstance(value, str) and name in table else value


@schemathesis.hook
def map_body(ctx, body):
    """Every second body is as people send them."""
    body = mapped(HERE, body)
    return mapped(LIFELIKE, body) if len(repr(body)) % 2 else body


@schemathesis.hook
def map_path_parameters(ctx, path_parameters):
    """Every second call is about what there is, which the test has made: it is changed, and stays."""
    is_one = ctx.operation.method.upper() != "DELETE" and re.match("/v1/(schedules|templates|tasks)/", ctx.operation.path)
    name = (path_parameters or {}).get("id")
    # One that is wrong stays so.
    if is_one and isinstance(name, str) and re.fullmatch("[A-Za-z0-9_.-]{1,62}", name) and len(name) % 2:
        return {**path_parameters, "id": "kept"}
    return path_parameters


@schemathesis.hook
def filter_headers(ctx, headers):
    """A header that nobody knows is no mistake."""
    return "x-schemathesis-unknown-property" not in {name.lower() for name in headers or {}}

"""What Schemathesis cannot know: refusals that no schema can say, each with its reason.

A call that fits the document and is refused with 422 for anything else fails the test.
"""

import re

import schemathesis

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
    (r"(/kwargs|/data)(/.*)?", r"^(expected|is required|is not what|not configured)", "grammars of mail, addresses and URLs, and limits over several fields: the kit of schemas holds the rest"),
    (r"/(task|type)", r"^not configured: set", "what the deployment has set up"),
    (r"/(data|data_base64|datacontenttype|time|expirytime|type|partitionkey|traceparent|dataschema|subject|id|source)", r"", "the grammar of CloudEvents' attributes"),
    (r"/(return_value|errors)(/.*)?", r"", "sizes in bytes"),
    (r"/edit(/.*)?", r"", "what becomes of each envelope"),
    (r"/(variables|context|extra_data|obj)(/.*)?", r"", "sizes in bytes, and how deep values are nested"),
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
    unknown = [problem for problem in problems if not is_unsayable(problem)]
    assert not unknown, f"the document does not tell: {unknown}"


@schemathesis.hook
def filter_headers(ctx, headers):
    """A header that nobody knows is no mistake."""
    return "x-schemathesis-unknown-property" not in {name.lower() for name in headers or {}}

"""The one pipeline that HTTP and ``auth.api`` go through: hooks, validation, guards, view."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import wire
from .context import Call, Reply
from .endpoint import Bound
from .errors import APIError
from .hooks import reply_of


def dispatch(call: Call, bound: Bound, body: object) -> Reply:
    """Invoke an endpoint.

    Before hooks see the known fields under Python names; one that answers, or refuses, ends the call there. After hooks
    see the answer of what follows, or the error in its place.

    Args:
        call: the invocation.
        bound: the endpoint, as the application has it.
        body: as it came, under Python names; ``...`` for none. Hooks see an empty one in place of what is no object.

    Raises:
        APIError: any answer other than success.
    """
    call.body = body if isinstance(body, dict) else {}
    for hook in call.state.hooks.before:
        if hook.applies(call):
            result = hook.handler(call)
            if result is not None:
                return reply_of(result, bound)
    try:
        call.returned = _run(call, bound, body)
    except APIError as error:
        call.returned = error
    for hook in call.state.hooks.after:
        if hook.applies(call):
            try:
                result = hook.handler(call)
                if result is not None:
                    status = call.returned.status_code if isinstance(call.returned, APIError) else 200
                    call.returned = reply_of(result, bound, status)
            except APIError as error:
                call.returned = error
    if isinstance(call.returned, APIError):
        raise call.returned
    return call.returned


def _run(call: Call, bound: Bound, body: object) -> Reply:
    endpoint = bound.endpoint
    if endpoint.privileged is not None and call.privileged:
        call.privileged = wire.load(endpoint.privileged, call.privileged, "call")
    sent: Any = call.body if isinstance(body, Mapping) or call.body else body
    if endpoint.body is not None and not (call.privileged and sent is ...):
        call.body = wire.load(endpoint.body, sent, "body", optional=endpoint.optional_body)
    if endpoint.query is not None:
        call.query = wire.load(endpoint.query, call.query, "query")
    for guard in endpoint.guards if not call.privileged else ():  # server code speaks for itself
        guard(call)
    reply = endpoint.view(call)
    reply.output = reply.output or bound.output
    if call.state.hooks.after:
        # a hook may change the body and pass it on, and must not pass on what may not leave the server
        reply.body, reply.output = reply.python, bound.output.loose
    return reply

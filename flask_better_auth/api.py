"""``auth.api``: every endpoint as a function of the server, run in a Flask request context of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from flask import has_request_context, request
from sqlalchemy.orm import Session, scoped_session
from werkzeug.datastructures import Headers

from . import responses, wire
from .context import AuthState, Call, Reply
from .dispatch import dispatch
from .endpoint import Bound, Endpoint
from .errors import APIError

__all__ = ["API", "APIError"]

#: What of the caller's headers an inner call sees; ``Host`` and ``Content-*`` belong to the outer request.
_FORWARDED = ("Cookie", "Authorization", "Origin", "User-Agent", "Accept-Language")
#: What of the outer request's environ says where the server is, and who asks.
_PLACE = ("wsgi.url_scheme", "HTTP_HOST", "SERVER_NAME", "SERVER_PORT", "SCRIPT_NAME", "REMOTE_ADDR")


class API:
    """Calls endpoints from server code, without HTTP: ``auth.api.get_session(headers=request.headers)``.

    Every endpoint is a method under the reference's name in snake_case. Common arguments:

    Args:
        body, query: fields under Python names or wire names; plain keywords are fields too. What only server code may
            ask for, such as another user's sessions by ``user_id``, is a keyword and never a field: a body that was
            passed on from a client cannot hold it. The parts of a path such as ``/reset-password/<token>`` are keywords
            too.
        headers: the caller's headers, where an endpoint needs to know who asks; unknown ones are left out.
        session: ``db.session``, to write in its transaction instead of an own one.
        return_headers: return ``(headers, result)``.
        return_status: return ``(result, status)``; with both, ``(headers, result, status)``.
        as_response: return a ``flask.Response``, errors included.

    Raises:
        APIError: any answer other than success; a redirect has the status ``FOUND`` and a ``Location`` header.
        TypeError: an unknown field, or one that is given twice.
    """

    def __init__(self, names: Iterable[str], find_state: Callable[[], AuthState]) -> None:
        self._names, self._find_state = frozenset(names), find_state

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in self._names:
            raise AttributeError(f"auth.api has no endpoint {name!r}")
        return partial(self._invoke, name)

    def __dir__(self) -> list[str]:
        return sorted(self._names)

    def _invoke(
        self,
        name: str,
        /,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | Headers | None = None,
        session: Session | scoped_session[Any] | None = None,
        return_headers: bool = False,
        return_status: bool = False,
        as_response: bool = False,
        **fields: Any,
    ) -> Any:
        state = self._find_state()
        bound = state.registry.by_name[name]
        privileged = {key: fields.pop(key) for key in _privileged(bound.endpoint) if key in fields}
        params = {key: fields.pop(key) for key in bound.endpoint.parameters if key in fields}
        if len(params) < len(bound.endpoint.parameters):
            raise TypeError(f"{name}() needs {' and '.join(bound.endpoint.parameters)}")
        sent_body, sent_query = _parts(bound, body, query, fields)
        joined = session() if isinstance(session, scoped_session) else session
        environ = _environ(state, bound, headers)
        outcome: Reply | APIError
        with state.app.request_context(environ) as context:
            call = Call(state, bound.endpoint, context.request, internal=True, joined=joined)
            call.query, call.privileged, call.params = sent_query, privileged, params
            try:
                if bound.endpoint.needs_headers and headers is None and not privileged:
                    raise wire.invalid("Headers is required")
                outcome = dispatch(call, bound, sent_body)
            except APIError as error:
                outcome = error
            finally:
                call.finish()
        if isinstance(outcome, Reply) and outcome.is_redirect:
            outcome = APIError.redirect(outcome.location or "")
        if as_response:
            if isinstance(outcome, APIError):
                response = responses.of_error(outcome, bound.endpoint)
            else:
                response = responses.of_reply(outcome, bound.endpoint)
            responses.merge(response.headers, _headers(call))
            return response
        if isinstance(outcome, APIError):
            outcome.headers.extend(_headers(call))
            raise outcome  # here, so that the host's teardown functions see no failure of theirs
        result = outcome.python if outcome.html is None else outcome.html
        parts = (result, outcome.status) if return_status else (result,)
        if return_headers:
            sent = Headers(outcome.headers)
            responses.merge(sent, _headers(call))
            if outcome.location is not None:
                sent["Location"] = outcome.location
            parts = (sent, *parts)
        return parts if len(parts) > 1 else result


def _privileged(endpoint: Endpoint) -> Iterable[str]:
    return endpoint.privileged.fields if endpoint.privileged else ()


def _headers(call: Call) -> Headers:
    headers = Headers(call.headers)
    for line in call.cookies.lines():
        headers.add("Set-Cookie", line)
    return headers


def _parts(
    bound: Bound, body: Mapping[str, Any] | None, query: Mapping[str, Any] | None, fields: Mapping[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """Body and query under Python names; each plain keyword goes where its field is declared."""
    name = bound.endpoint.name
    if body is not None and not isinstance(body, Mapping):
        return body, _renamed(name, query, bound.query_names)
    renamed = [_renamed(name, body, bound.body_names), _renamed(name, query, bound.query_names)]
    for key, value in fields.items():
        for part, known in zip(renamed, (bound.body_names, bound.query_names), strict=True):
            if key in known.values():
                if key in part:
                    raise TypeError(f"{name}() got {key!r} twice")
                part[key] = value
                break
        else:
            raise TypeError(f"{name}() got an unexpected field {key!r}")
    return (renamed[0] if body is not None or renamed[0] else ...), renamed[1]


def _renamed(name: str, part: Mapping[str, Any] | None, known: Mapping[str, str]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in (part or {}).items():
        python = known.get(key, key)
        if python in out:
            raise TypeError(f"{name}() got {python!r} twice")
        out[python] = value
    return out


def _template(state: AuthState) -> dict[str, Any]:
    made = state.app.test_request_context(base_url=state.config.url).request.environ
    # the path is the endpoint's, and the caller has no address unless an outer request has one
    without = ("RAW_URI", "REQUEST_URI", "REMOTE_ADDR")
    return {key: made[key] for key in made if key not in without and not key.startswith("werkzeug.")}


def _environ(state: AuthState, bound: Bound, headers: Mapping[str, str] | Headers | None) -> dict[str, Any]:
    """The environ of an inner request: a template made once, the outer request's place, the caller's headers."""
    environ = dict(state.once(_template))
    endpoint = bound.endpoint
    environ["REQUEST_METHOD"] = endpoint.methods[0]
    environ["PATH_INFO"] = state.config.base_path + (endpoint.path or "")
    if has_request_context():
        outer = request.environ
        environ.update({key: outer[key] for key in _PLACE if key in outer})
    if headers is not None:
        given = headers if isinstance(headers, Headers) or hasattr(headers, "get_all") else Headers(dict(headers))
        for key in _FORWARDED:
            value = given.get(key)
            if value is not None:
                environ["HTTP_" + key.upper().replace("-", "_")] = value
    return environ

"""The HTTP door: which requests reach an endpoint, how bodies are read, and how answers are written."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from flask import Blueprint, Request, Response, current_app, got_request_exception, request
from flask.blueprints import BlueprintSetupState
from sqlalchemy import exc
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.routing import BaseConverter, Rule

from . import guards, responses, wire
from .context import AuthState, Call, Reply
from .dispatch import dispatch
from .endpoint import JSON, Bound, Endpoint
from .errors import APIError, CoreErrors
from .hooks import reply_of
from .storage import StorageUnavailable

#: Flask endpoint of everything below the base path that no endpoint answers.
_NOWHERE = "_nowhere"
_SCHEME = re.compile(r"^https?://[^/]*/?", re.IGNORECASE)
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class _Anything(BaseConverter):
    """The rest of a path, whatever it is: ``//ok`` and ``ok/`` too."""

    regex = r"[\s\S]*"
    part_isolating = False


def build_blueprint(state: AuthState) -> Blueprint:
    """The blueprint that serves every routed endpoint of one application, and an empty 404 for every other path."""
    blueprint = Blueprint("better_auth", __name__, url_prefix=state.config.base_path)
    for bound in state.registry:
        endpoint: Endpoint = bound.endpoint
        view = _view(bound)
        for method, path in endpoint.routes(additions=state.config.additions):
            for slash in ("", "/") if state.config.advanced.skip_trailing_slashes else ("",):
                blueprint.add_url_rule(
                    path + slash,
                    endpoint.name,
                    view,
                    methods=(method,),
                    provide_automatic_options=False,
                    strict_slashes=True,
                    merge_slashes=False,
                )
    blueprint.record(_record_nowhere)
    return blueprint


def _record_nowhere(setup: BlueprintSetupState) -> None:
    """Rules for any path and any method: Flask's own would answer 405 and redirect, the reference never does."""
    app: Any = setup.app
    app.url_map.converters["better_auth_anything"] = _Anything
    prefix, name = setup.url_prefix or "", f"{setup.blueprint.name}.{_NOWHERE}"
    for path in (prefix or "/", f"{prefix}/<better_auth_anything:path>"):
        app.url_map.add(Rule(path, endpoint=name, methods=None, strict_slashes=True, merge_slashes=False))
    app.view_functions[name] = _nowhere


def _view(bound: Bound) -> Callable[..., Response]:
    def view(**params: str) -> Response:
        return serve(current_app.extensions["better_auth"], bound, params)

    view.__name__ = bound.endpoint.name
    view.__doc__ = bound.endpoint.view.__doc__
    return view


def _nowhere(path: str = "") -> Response:
    return serve(current_app.extensions["better_auth"], None, {})


def serve(state: AuthState, bound: Bound | None, params: dict[str, str]) -> Response:
    """Answer the current request by an endpoint, or as a path that has none."""
    current: Request = request._get_current_object()  # type: ignore[attr-defined]  # the object behind the proxy
    if bound is not None and (current.method == "HEAD" or not _is_canonical(current)):
        bound = None  # Werkzeug adds HEAD to every GET
    call = Call(state, bound.endpoint if bound is not None else None, current)
    call.params = params
    try:
        response = _safely(call, _answer, bound)
    finally:
        call.close()
    if call.failure is not None:
        call.finish()
        raise call.failure
    if call.has_work:
        response.call_on_close(partial(_finish, call))
    return _hardened(state, response)


def _safely(call: Call, answer: Callable[[Call, Bound | None], Response], bound: Bound | None) -> Response:
    """What ``answer`` says; nothing that an application's code raises becomes a traceback."""
    app = call.state.app
    try:
        return answer(call, bound)
    except APIError as error:
        _tell(call, error)
        return responses.of_error(error, call.endpoint)
    except Exception as error:
        _tell(call, error)
        if _is_outage(error):
            call.state.logger.exception("better-auth: the database or the secondary storage is away")
            return responses.of_error(APIError(CoreErrors.SERVICE_UNAVAILABLE, headers={"Retry-After": "5"}))
        if call.config.on_api_error.throw:
            call.failure = error  # Flask logs it
            return responses.empty(500)
        got_request_exception.send(app, _async_wrapper=app.ensure_sync, exception=error)
        call.state.logger.exception("better-auth: %s failed", call.endpoint)
        return responses.empty(500)


def _is_outage(error: Exception) -> bool:
    """Whether a storage, and not the request, is to blame. Drivers have many names for a connection that breaks."""
    if isinstance(error, (exc.OperationalError, exc.InterfaceError, exc.TimeoutError, StorageUnavailable)):
        return True
    return isinstance(error, exc.DBAPIError) and error.connection_invalidated


def _tell(call: Call, error: Exception) -> None:
    """Tell the application what becomes of a request."""
    told = call.config.on_api_error.on_error
    if told is not None and not (isinstance(error, APIError) and error.status_code < 400):
        call.guarded(lambda: told(error, call))


def _finish(call: Call) -> None:
    """Do what waited for the answer; the server calls this when the contexts of the request are gone."""
    with call.state.app.app_context():
        call.finish()


def _answer(call: Call, bound: Bound | None) -> Response:
    """The answer, and around it what plugins have to say of every request."""
    if call.config.disabled_paths and _is_disabled(call, bound):
        return responses.Answer("Not Found", 404, content_type="text/plain;charset=UTF-8")
    too_many = call.state.limits.refusal(call)
    if too_many is not None:
        return responses.of_error(too_many)
    for plugin in call.state.plugins:
        instead = plugin.on_request(call)
        if isinstance(instead, Response):
            return instead
        if instead is not None:
            # what was routed stays: by another method the check of the origin could be passed by
            if (instead.method, instead.path) != (call.request.method, call.request.path):
                raise ValueError(f"on_request of {plugin!r} may replace headers and body, not method and path")
            instead.url_rule, instead.view_args = call.request.url_rule, call.request.view_args
            call.request = instead
    response = _safely(call, _respond, bound)
    for plugin in call.state.plugins:
        replaced = plugin.on_response(call, response)
        if replaced is not None:
            return replaced
    return response


def _is_disabled(call: Call, bound: Bound | None) -> bool:
    """Whether ``disabled_paths`` has the path of an endpoint or that by which it was reached; or a path that leads
    nowhere, be it by its method alone."""
    disabled, base = call.config.disabled_paths, call.config.base_path
    if bound is not None:
        return bound.endpoint.path in disabled or _rule(call.request).removeprefix(base) in disabled
    sent = (_raw_path(call.request) or call.request.path).rstrip("/")
    return any(sent.endswith(base + path.rstrip("/")) for path in disabled)


def _rule(request: Request) -> str:
    return str(request.url_rule).removesuffix("/")


def _respond(call: Call, bound: Bound | None) -> Response:
    if bound is None:
        headers = call.request.headers
        asks = "Origin" in headers and "Access-Control-Request-Method" in headers
        # an empty 204 lets flask-cors complete a preflight; a 404 would break every cross-origin client
        return responses.empty(204 if call.request.method == "OPTIONS" and asks else 404)
    try:
        call.state.base_url(call.request)
        response = responses.of_reply(_serve(call, bound), bound.endpoint)
    except APIError as error:
        _tell(call, error)
        response = responses.of_error(error, bound.endpoint)
    if response.status_code < 500:  # a failure hands out no session, neither by cookie nor by a header of a plugin
        for line in call.cookies.lines():
            response.headers.add("Set-Cookie", line)
        responses.merge(response.headers, call.headers)
    return response


def _serve(call: Call, bound: Bound) -> Reply:
    body = _body(call, bound.endpoint)
    try:
        # a key that stands twice is a list, and so no text (SECURITY H14)
        sent = {key: values[0] if len(values) == 1 else values for key, values in call.request.args.lists()}
        call.query = wire.to_python_names(sent, bound.query_names)
    except UnicodeDecodeError:
        raise APIError(CoreErrors.BAD_REQUEST, message="Invalid query string") from None
    if call.request.method not in _SAFE_METHODS:
        guards.origin(call)
        guards.targets(call, body)
    named = wire.to_python_names(body, bound.body_names)
    call.body = named if isinstance(named, dict) else {}
    for plugin in call.state.plugins:
        for middleware in plugin.middlewares:
            result = middleware.handler(call) if middleware.applies(call) else None
            if result is not None:
                return reply_of(result, bound)
    return dispatch(call, bound, named)


def _is_canonical(request: Request) -> bool:
    """Whether the path came as the rule spells it: as limits, hooks and ``disabled_paths`` know it (SECURITY T7).

    Werkzeug decodes ``/%6Fk`` and drops the second slash of ``//api`` before it routes; the raw path is in the environ
    of most servers. Only its end is looked at: a proxy may have taken a prefix off.
    """
    path = _raw_path(request)
    if "%" not in path and "//" not in path:
        return True
    wanted = _rule(request).split("/")[1:]
    sent = path.removesuffix("/").split("/")[-len(wanted) :]
    fits = len(sent) == len(wanted) and all(w == s or w.startswith("<") for w, s in zip(wanted, sent, strict=True))
    return fits and "//" not in path


def _raw_path(request: Request) -> str:
    """The path as it was sent; nothing, where the server does not tell."""
    raw = request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI") or ""
    return _SCHEME.sub("/", raw.partition("?")[0])


# ---------------------------------------------------------------- bodies


def _body(call: Call, endpoint: Endpoint) -> Any:
    """The body as JSON or form say it; ``...`` if there is none, or if the endpoint takes none.

    Raises:
        APIError: ``PAYLOAD_TOO_LARGE``, ``UNSUPPORTED_MEDIA_TYPE`` or ``BAD_REQUEST``.
    """
    if call.request.method in _SAFE_METHODS or endpoint.body is None:
        return ...
    bound = call.config.max_body
    call.request.max_content_length = bound + 1  # a stream without a length is cut there, and not refused
    try:
        raw = call.request.get_data()
    except RequestEntityTooLarge:
        raw = None
    if raw is None or len(raw) > bound:
        raise APIError(CoreErrors.PAYLOAD_TOO_LARGE)
    declared = call.request.headers.get("Content-Type", "")
    sent_as = declared.partition(";")[0].strip()
    if not raw or not declared:
        return ...
    if sent_as.lower() not in endpoint.media_types:
        allowed = ", ".join(endpoint.media_types)
        message = f'Content-Type "{declared}" is not allowed. Allowed types: {allowed}'
        raise APIError(CoreErrors.UNSUPPORTED_MEDIA_TYPE, message=message)
    try:
        if sent_as.lower() == JSON:
            return wire.parse_json(raw, unique_keys=call.config.hardening)
        return dict(parse_qsl(raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=1000))
    except ValueError:
        raise APIError(CoreErrors.BAD_REQUEST) from None


# ---------------------------------------------------------------- answers


def _hardened(state: AuthState, response: Response) -> Response:
    """An answer that depends on who asks must not be kept for somebody else (CVE-2023-30861, SECURITY B7, G8)."""
    if state.config.hardening:
        response.headers.setdefault("Cache-Control", "no-store")
        response.vary.update(("Cookie", "Origin"))
        if response.content_length == 0:
            response.headers.pop("Content-Type", None)  # nothing is no JSON
    return response

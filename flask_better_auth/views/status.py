"""Whether the server is there, and the page that browsers land on after an error."""

from __future__ import annotations

import re
from html import escape
from typing import Any
from urllib.parse import urlencode

from flask import render_template

from ..context import Call, Reply
from ..endpoint import Routes
from ..wire import Bool, Str, WireSchema

routes = Routes()

#: What an error code looks like; anything else is somebody's text (SECURITY A10).
_CODE = re.compile(r"[A-Za-z0-9_-]{1,200}", re.ASCII)


class OkResult(WireSchema):
    ok = Bool()


@routes.get("/ok", returns=OkResult)
def ok(call: Call) -> Reply:
    """Tell that the server answers."""
    return Reply({"ok": True})


class _First(Str):
    """A text, also where the key stands more than once: as the reference, which does not validate these."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        return super()._deserialize(value[0] if isinstance(value, list) and value else value, *args, **kwargs)


class ErrorQuery(WireSchema):
    error = _First(opaque=True)
    error_description = _First(data_key="error_description", opaque=True)


@routes.get("/error", query=ErrorQuery)
def error(call: Call) -> Reply:
    """Show an error to a browser that a redirect brought here; in production, on the application's own page."""
    code = call.query.get("error", "")
    code = code if _CODE.fullmatch(code) else "UNKNOWN"
    description = call.query.get("error_description", "")[:1000]
    configured, template = call.config.on_api_error.error_url, call.config.on_api_error.error_template
    if template and not configured:
        page = render_template(template, error=code, error_description=description)
        return Reply(html=page, headers={"Content-Security-Policy": _OF_TEMPLATE})
    if configured or not (call.state.app.debug or call.state.app.testing):
        query = {"error": code, **({"error_description": description} if description else {})}
        target = configured or "/"
        return Reply(location=f"{target}{'&' if '?' in target else '?'}{urlencode(query)}")
    return Reply(html=_PAGE.format(code=escape(code), description=escape(description)))


#: Of a page of the application: its own styles and pictures, and nothing else's.
_OF_TEMPLATE = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Error</title></head>
<body><h1>Something went wrong</h1><p><code>{code}</code></p><p>{description}</p><p><a href="/">Back</a></p></body>
</html>
"""

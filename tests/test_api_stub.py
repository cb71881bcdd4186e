"""``api.pyi``: what editors and type checkers know of ``auth.api``."""

from __future__ import annotations

import ast
import runpy
from pathlib import Path

import jedi
import pytest

from flask_better_auth import BetterAuth, plugins

ROOT = Path(__file__).parents[1]


def test_the_stub_is_current() -> None:
    generated = runpy.run_path(str(ROOT / ".ci" / "api_stub.py"))["stub"]()
    written = (ROOT / "flask_better_auth" / "api.pyi").read_text()
    assert ast.dump(ast.parse(written)) == ast.dump(ast.parse(generated)), "see .ci/api_stub.py"


def test_every_endpoint_is_in_the_stub() -> None:
    auth = BetterAuth(plugins=[getattr(plugins, name)() for name in plugins.__all__])
    stub = ast.parse((ROOT / "flask_better_auth" / "api.pyi").read_text())
    (api,) = (node for node in stub.body if isinstance(node, ast.ClassDef))
    declared = {node.name for node in api.body if isinstance(node, ast.FunctionDef)}
    assert {name for name in declared if not name.startswith("__")} == set(dir(auth.api))


@pytest.mark.parametrize(
    ("call", "fields"),
    [
        ("sign_in_email", {"email", "password", "remember_me", "callback_url", "body", "headers"}),
        ("sign_in_username", {"username", "password", "remember_me", "callback_url"}),
        ("list_sessions", {"user_id", "headers"}),
        ("get_session", {"disable_refresh", "query", "headers"}),
    ],
)
def test_an_editor_completes_the_fields_of_an_endpoint(call: str, fields: set[str]) -> None:
    lines = ["from flask_better_auth import BetterAuth", "auth = BetterAuth()", f"auth.api.{call}("]
    signatures = jedi.Script("\n".join(lines)).get_signatures(line=3, column=len(lines[2]))
    assert fields <= {parameter.name for parameter in signatures[0].params}


def test_an_editor_completes_the_names_of_endpoints() -> None:
    lines = ["from flask_better_auth import BetterAuth", "auth = BetterAuth()", "auth.api.sign_"]
    completed = {item.name for item in jedi.Script("\n".join(lines)).complete(line=3, column=len(lines[2]))}
    assert {"sign_in_email", "sign_in_username", "sign_out", "sign_up_email"} <= completed

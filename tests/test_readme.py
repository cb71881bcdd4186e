"""The README and the docs: every Python block runs, and every option is listed."""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import typing
from collections.abc import Callable
from dataclasses import is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from conftest import PASSWORD, SECRET

from flask_better_auth import Plugin, plugins, providers
from flask_better_auth.config import AuthConfig
from flask_better_auth.providers.catalog import CATALOG

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(path: Path, language: str) -> list[tuple[int, str]]:
    """The fenced blocks of a language, each with the number of its first line."""
    text = path.read_text()
    return [(text.count("\n", 0, m.start(2)), m.group(2)) for m in FENCE.finditer(text) if m.group(1) == language]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], ModuleType]:
    """Executes the Python blocks of a page in order, as one module in an empty folder, with true line numbers."""

    def execute(path: Path) -> ModuleType:
        page = ModuleType("page")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("FLASK_BETTER_AUTH_SECRET", SECRET)
        monkeypatch.setenv("FLASK_BETTER_AUTH_URL", "http://127.0.0.1:5000")
        monkeypatch.setitem(sys.modules, "page", page)
        for line, code in blocks(path, "python"):
            exec(compile("\n" * line + code, path, "exec", dont_inherit=True), vars(page))
        return page

    return execute


def test_the_python_blocks_of_the_readme_run_in_order(run: Callable[[Path], Any]) -> None:
    readme = run(ROOT / "README.md")
    assert readme.page.get("/api/auth/ok").json == {"ok": True}
    assert readme.APIError


@pytest.mark.parametrize("path", sorted((ROOT / "docs").rglob("*.md")), ids=lambda path: path.name)
def test_the_python_blocks_of_the_docs_run(path: Path, run: Callable[[Path], Any]) -> None:
    run(path)


@pytest.mark.parametrize("heading", ["Run it", "Test it"])
def test_one_command_under_each_of_the_two_headings(heading: str) -> None:
    section = (ROOT / "README.md").read_text().split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    (block,) = FENCE.findall(section)
    assert block[0] == "console"
    assert len(block[1].strip().splitlines()) == 1


def keys(cls: type[Any], prefix: str = "BETTER_AUTH") -> list[str]:
    out = []
    for name, hint in typing.get_type_hints(cls).items():
        key = f"{prefix}_{name.upper()}"
        out += keys(hint, key) if is_dataclass(hint) and prefix == "BETTER_AUTH" else [key]
    return out


def test_every_setting_is_in_the_docs_and_no_other() -> None:
    listed = re.findall(r"^\| `(BETTER_AUTH_\w+)`", (ROOT / "docs" / "configuration.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(keys(AuthConfig))


def defaults(options: Any, prefix: str = "") -> dict[str, str]:
    """Every option of a plugin, and its default as it is written in Python."""
    out: dict[str, str] = {}
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        nested = dataclasses.is_dataclass(value)
        out |= defaults(value, f"{field.name}.") if nested else {prefix + field.name: repr(value)}
    return out


@pytest.mark.parametrize("name", plugins.__all__)
def test_every_option_and_every_error_of_a_plugin_is_in_its_page(name: str) -> None:
    plugin = getattr(plugins, name)()
    page = (ROOT / "docs" / "plugins" / f"{plugin.id}.md").read_text()
    listed = re.findall(r"^\| `([a-z_.]+)` \| `([^`]+)` \|", page, re.MULTILINE)
    assert dict(listed) == (defaults(plugin.options) if plugin.options else {})
    codes = {code for code in dir(plugin.errors) if code.isupper()}
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", page, re.MULTILINE)) == codes


PLUGINS = ROOT / "docs" / "plugins.md"


def test_the_plugin_of_the_docs_works(run: Callable[[Path], Any]) -> None:
    page = run(PLUGINS)
    client = page.app.test_client()
    origin = {"Origin": "http://127.0.0.1:5000"}

    def post(path: str, **body: str) -> Any:
        return client.post(f"/api/auth{path}", json=body, headers=origin, base_url=origin["Origin"])

    assert post("/terms/accept", termsVersion="2026-01").status_code == 401
    ada = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}
    assert post("/sign-up/email", **ada, acceptedTerms="2026-01").json["code"] == "FIELD_NOT_ALLOWED"
    assert post("/sign-up/email", **ada).json["user"]["acceptedTerms"] is None
    assert post("/terms/accept", termsVersion="2025-01").json["code"] == "OLD_TERMS"
    assert post("/terms/accept", termsVersion="2026-01").json["user"]["acceptedTerms"] == "2026-01"
    cookie = client.get_cookie("better-auth.session_token", "127.0.0.1")
    headers = {"Cookie": f"{cookie.key}={cookie.value}"}
    assert page.auth.api.accept_terms(terms_version="2026-01", headers=headers)["user"]["accepted_terms"] == "2026-01"
    assert page.auth.error_codes["OLD_TERMS"] is page.TermsErrors.OLD_TERMS


def test_every_part_of_a_plugin_is_in_the_docs_and_no_other() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", PLUGINS.read_text(), re.MULTILINE)
    own = [name for name in vars(Plugin) if not name.startswith("_")]
    assert sorted(listed) == sorted({*own, *Plugin.__annotations__})
    assert all(inspect.getdoc(getattr(Plugin, name)) for name in own if callable(getattr(Plugin, name)))
    attributes = inspect.getsource(Plugin)
    for name in Plugin.__annotations__:
        assert re.search(rf"^    #: .*\n    {name}: ", attributes, re.MULTILINE), name


def test_every_provider_is_in_the_docs_and_no_other() -> None:
    listed = re.findall(r"^\| `(\w+)` \| `([a-z]+)` \|$", (ROOT / "docs" / "providers.md").read_text(), re.MULTILINE)
    assert {name: getattr(providers, name).id for name, _ in listed} == dict(listed)
    assert {provider_id for _, provider_id in listed} == set(CATALOG)

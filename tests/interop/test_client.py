"""The official client, npm's ``better-auth``, drives a running application: in Node, and in Chromium.

By hand, against any server: ``AUTH_URL=http://127.0.0.1:5000 node --test core.test.mjs`` in ``client/``.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import npm
import pytest
from chromium import chromium
from conftest import PASSWORD, STUCK, Site
from flask import send_from_directory
from selenium.webdriver import Chrome
from selenium.webdriver.support.wait import WebDriverWait
from support.google import GoogleOnLoopback
from werkzeug.serving import WSGIRequestHandler, make_server

from flask_better_auth.plugin import Plugin
from flask_better_auth.plugins import Bearer, OAuthPopup, Username

CLIENT = Path(__file__).parent / "client"
TOKEN = "better-auth.session_token"
Serve = Callable[..., str]


class Quiet(WSGIRequestHandler):
    """Logs no requests."""

    def log_request(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="session")
def packages() -> None:
    """The packages that the scripts and the page use."""
    npm.install(CLIENT)


@pytest.fixture
def serve(packages: None, make_auth: Callable[..., Site]) -> Iterator[Serve]:
    """Starts an application with the package's defaults, and returns its origin."""
    with ExitStack() as at_end:

        def begin(**options: Any) -> str:
            server = make_server("127.0.0.1", 0, None, threaded=True, request_handler=Quiet)
            at_end.callback(server.server_close)
            origin = f"http://127.0.0.1:{server.port}"
            server.app = make_auth(settings={"BETTER_AUTH_URL": origin}, **options).app
            server.app.add_url_rule("/page", "page", lambda: send_from_directory(CLIENT, "page.html"))
            server.app.add_url_rule(
                "/node_modules/<path:name>", "module", lambda name: send_from_directory(CLIENT / "node_modules", name)
            )
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            at_end.callback(thread.join, STUCK)
            at_end.callback(server.shutdown)
            return origin

        yield begin


#: What each script needs of the server.
SCRIPTS: dict[str, Callable[[], list[Plugin]]] = {
    "core": list,
    "atom": list,
    "sessions": list,
    "username": lambda: [Username()],
    "bearer": lambda: [Bearer()],
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_official_client_in_node(serve: Serve, script: str) -> None:
    play(script, AUTH_URL=serve(plugins=SCRIPTS[script]()))


def test_the_official_client_follows_links_in_mails(serve: Serve, tmp_path: Path) -> None:
    outbox = tmp_path / "outbox"
    outbox.touch()

    def send(user: dict[str, Any], url: str, token: str) -> None:
        with outbox.open("a") as file:
            file.write(json.dumps({"to": user["email"], "url": url}) + "\n")

    origin = serve(
        email_and_password={"send_reset_password": send},
        email_verification={"send_verification_email": send},
        user={"change_email": {"enabled": True}},
    )
    play("email", AUTH_URL=origin, OUTBOX=str(outbox))


@pytest.mark.parametrize("script", ["social", "popup"])
def test_the_official_client_signs_in_with_a_provider(serve: Serve, google: GoogleOnLoopback, script: str) -> None:
    origin = serve(plugins=[OAuthPopup()], social_providers=[google.option()])
    play(script, AUTH_URL=origin, AUTHORIZE=google.provider.url_for("authorize"))


def play(script: str, **environment: str) -> None:
    """Run a script of the client; every test in it must pass."""
    path = CLIENT / f"{script}.test.mjs"
    result = subprocess.run(
        [npm.command("node"), "--test", "--test-reporter=tap", str(path)],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=STUCK,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    written = len(re.findall(r"^test\(", path.read_text(), re.MULTILINE))
    assert f"\n# pass {written}\n" in result.stdout


# ---------------------------------------------------------------- the browser


@pytest.fixture
def page(serve: Serve, tmp_path: Path) -> Iterator[Chrome]:
    """A page that has subscribed to the session, in a new profile of Chromium."""
    origin = serve()
    with chromium(tmp_path) as driver:
        driver.set_script_timeout(STUCK)
        driver.get(origin + "/page")
        yield driver


def call(page: Chrome, method: str, *arguments: Any) -> Any:
    """What a method of the client resolves to."""
    return page.execute_script(f"return client.{method}(...arguments)", *arguments)


def until(page: Chrome, condition: str) -> None:
    """Wait until the session atom is as the condition on ``now`` says."""
    WebDriverWait(page, STUCK, 0.02).until(
        lambda _: page.execute_script(f"const now = window.seen?.at(-1); return now && ({condition})"), condition
    )


def test_the_official_client_in_a_browser(page: Chrome) -> None:
    until(page, "!now.isPending && now.data === null")
    assert page.execute_script("return [seen[0].isPending, seen[0].data]") == [True, None]

    answer = call(page, "signUp.email", {"name": "Ada", "email": "ada@example.com", "password": PASSWORD})
    assert (answer["error"], answer["data"]["user"]["email"]) == (None, "ada@example.com")
    until(page, "now.data?.user.name === 'Ada' && now.data.session.expiresAt instanceof Date")
    (cookie,) = page.get_cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (TOKEN, True, "Lax", "/")
    assert cookie["expiry"] > 0
    assert page.execute_script("return document.cookie") == ""

    call(page, "updateUser", {"name": "Ada Lovelace"})
    until(page, "now.data?.user.name === 'Ada Lovelace'")

    call(page, "signOut")
    until(page, "now.data === null && !now.isRefetching")
    assert page.get_cookies() == []

    refused = call(page, "signIn.email", {"email": "ada@example.com", "password": "wrong " + PASSWORD})
    assert (refused["error"]["status"], refused["error"]["code"]) == (401, "INVALID_EMAIL_OR_PASSWORD")
    call(page, "signIn.email", {"email": "ada@example.com", "password": PASSWORD, "rememberMe": False})
    until(page, "now.data?.user.name === 'Ada Lovelace'")
    cookies = {cookie["name"]: cookie for cookie in page.get_cookies()}
    assert set(cookies) == {TOKEN, "better-auth.dont_remember"}
    assert not [cookie for cookie in cookies.values() if "expiry" in cookie]

    page.refresh()
    until(page, "now.data?.user.name === 'Ada Lovelace'")


def test_the_official_client_notices_a_sign_out_in_another_tab(page: Chrome) -> None:
    first = page.current_window_handle
    call(page, "signUp.email", {"name": "Ada", "email": "ada@example.com", "password": PASSWORD})
    until(page, "now.data?.user.name === 'Ada'")
    address = page.current_url
    page.switch_to.new_window("tab")
    page.get(address)
    until(page, "now.data?.user.name === 'Ada'")
    call(page, "signOut")
    page.switch_to.window(first)
    until(page, "now.data === null && !now.isPending")

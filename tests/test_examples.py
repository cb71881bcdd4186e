"""Every example starts from its own folder and signs a user in; the quickstart is clicked through in Chromium.

An example takes ``PORT`` and ``INSTANCE_PATH`` from the environment and guards its page ``/profile``.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from chromium import chromium
from conftest import PASSWORD
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

ROOT = Path(__file__).parents[1] / "examples"
EXAMPLES = sorted(path.parent.name for path in ROOT.glob("*/app.py"))
assert "quickstart" in EXAMPLES
PATIENCE = 30  # seconds until a test gives up; nothing waits so long on a machine that works


class Example:
    """A running example."""

    def __init__(self, program: Path, folder: Path, settings: dict[str, str], arguments: Sequence[str] = ()) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._log = folder / f"{port}.log"
        ours = ("BETTER_AUTH_", "FLASK_", "INSTANCE_PATH")
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(program), *arguments],
                cwd=folder,
                env={**inherited, "PORT": str(port), **settings},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self._log.read_text()

    def wait(self) -> None:
        """Return when it answers."""
        give_up = time.monotonic() + PATIENCE
        while self._process.poll() is None and time.monotonic() < give_up:
            try:
                httpx.get(self.url + "/api/auth/ok", trust_env=False).raise_for_status()
                return
            except httpx.TransportError:
                time.sleep(0.05)
        pytest.fail(f"the example does not answer:\n{self.output}")

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(PATIENCE)


Start = Callable[..., Example]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts examples, with one temporary instance folder unless they are copies that have their own."""
    running: list[Example] = []

    def begin(name: str, *arguments: str, copies: Path | None = None, **settings: str) -> Example:
        if copies is None:
            settings["INSTANCE_PATH"] = str(tmp_path / "instance")
        running.append(Example((copies or ROOT) / name / "app.py", tmp_path, settings, arguments))
        running[-1].wait()
        return running[-1]

    yield begin
    for example in running:
        example.stop()


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    """A browser's cookie jar and preferences."""
    with httpx.Client(headers={"Accept": "text/html"}, trust_env=False, timeout=PATIENCE) as made:
        yield made


USER = {"name": "Ada <Lovelace>", "email": "ada@example.com", "password": PASSWORD}


def post(
    client: httpx.Client, example: Example, path: str, fields: dict[str, str], origin: str | None = None
) -> httpx.Response:
    """Call the auth API as a page of the example does, or one of another origin."""
    return client.post(f"{example.url}/api/auth{path}", json=fields, headers={"Origin": origin or example.url})


def session(client: httpx.Client, example: Example) -> Any:
    """Who the server says is signed in."""
    return client.get(f"{example.url}/api/auth/get-session").raise_for_status().json()


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_signs_up_shows_the_profile_and_signs_out(start: Start, client: httpx.Client, name: str) -> None:
    example = start(name)
    assert example.url in example.output
    refused = client.get(f"{example.url}/profile")
    assert (refused.status_code, refused.headers["Location"]) == (302, "/?next=%2Fprofile")
    assert session(client, example) is None

    assert post(client, example, "/sign-up/email", USER).status_code == 200
    assert session(client, example)["user"]["email"] == "ada@example.com"
    shown = client.get(f"{example.url}/profile")
    assert shown.status_code == 200
    assert "Ada &lt;Lovelace&gt;" in shown.text
    assert "ada@example.com" in shown.text

    assert post(client, example, "/sign-out", {}).json() == {"success": True}
    assert session(client, example) is None
    assert client.get(f"{example.url}/profile").status_code == 302


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_keeps_sessions_over_a_restart(start: Start, client: httpx.Client, tmp_path: Path, name: str) -> None:
    first = start(name)
    post(client, first, "/sign-up/email", USER).raise_for_status()
    first.stop()
    assert session(client, start(name))["user"]["email"] == "ada@example.com"
    other = start(name, BETTER_AUTH_SECRET="another-secret-of-the-test-suite-0123")
    assert session(client, other) is None
    secret = tmp_path / "instance" / "secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert secret.read_text() not in (ROOT / name / "app.py").read_text()


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_takes_its_address_from_the_environment(start: Start, client: httpx.Client, name: str) -> None:
    origin = "https://auth.example.com"
    example = start(name, BETTER_AUTH_URL=origin)
    assert origin in example.output
    assert post(client, example, "/sign-up/email", USER).json()["code"] == "INVALID_ORIGIN"
    answer = post(client, example, "/sign-up/email", USER, origin)
    assert answer.headers["Set-Cookie"].startswith("__Secure-")


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_keeps_its_files_beside_itself(start: Start, tmp_path: Path, name: str) -> None:
    copies = tmp_path / "copies"
    shutil.copytree(ROOT / name, copies / name, ignore=shutil.ignore_patterns("instance"))
    start(name, copies=copies)
    assert sorted(path.name for path in (copies / name / "instance").iterdir()) == ["better_auth.db", "secret"]
    assert sorted(path.suffix for path in tmp_path.iterdir()) == ["", ".log"]


def test_quickstart_is_short() -> None:
    lines = [line for path in (ROOT / "quickstart").rglob("*.py") for line in path.read_text().splitlines()]
    assert 0 < len(lines) <= 60


# ---------------------------------------------------------------- the browser


class Page:
    """A page in Chromium, with everything that its console says."""

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self._driver, self._url = driver, url

    def open(self, path: str) -> None:
        """Navigate."""
        self._driver.get(self._url + path)

    @property
    def place(self) -> str:
        """The address without the origin."""
        return self._driver.current_url.removeprefix(self._url)

    @property
    def text(self) -> str:
        """The text that can be seen."""
        return self._driver.find_element(By.TAG_NAME, "main").text

    def fill(self, form: str, **values: str) -> None:
        """Type into the fields of a form, found by the text of their labels."""
        for label, value in values.items():
            found = self._driver.find_element(By.XPATH, f"//form[@aria-labelledby='{form}']//label[.='{label}']")
            field = self._driver.find_element(By.ID, found.get_attribute("for") or "")
            field.clear()
            field.send_keys(value)

    def press(self, label: str) -> None:
        """Press a button that stays on the page."""
        self._driver.find_element(By.XPATH, f"//button[.='{label}']").click()

    def follow(self, label: str) -> None:
        """Press a button or a link, and wait for the page that it leads to."""
        self.run("window.left = true")
        self._driver.find_element(By.XPATH, f"//button[.='{label}'] | //a[.='{label}']").click()
        WebDriverWait(self._driver, PATIENCE, ignored_exceptions=[WebDriverException]).until(
            lambda driver: driver.execute_script("return !window.left && document.readyState === 'complete'"),
            f"{label!r} leads nowhere",
        )

    def wait_for_alert(self) -> str:
        """The message that appears."""

        def message(driver: webdriver.Chrome) -> str:
            return "".join(alert.text for alert in driver.find_elements(By.CSS_SELECTOR, "[role=alert]"))

        return WebDriverWait(self._driver, PATIENCE).until(message)

    def run(self, script: str) -> None:
        """Run a script in the page."""
        self._driver.execute_script(script)

    def complaints(self) -> list[str]:
        """Warnings and errors of the console since the last look, uncaught errors of scripts among them."""
        return [e["message"] for e in self._driver.get_log("browser") if e["level"] in ("WARNING", "SEVERE")]


@pytest.fixture
def page(start: Start, tmp_path: Path) -> Iterator[Page]:
    """The quickstart in a new profile of Chromium."""
    example = start("quickstart")
    with chromium(tmp_path) as driver:
        yield Page(driver, example.url)


def test_quickstart_in_a_browser(page: Page) -> None:
    page.open("/")
    page.fill("sign-up", **{"Name": "Ada <Lovelace>", "E-mail": "ada@example.com", "Password": PASSWORD})
    page.follow("Create account")
    assert page.place == "/"
    assert "Hello, Ada <Lovelace>" in page.text

    page.follow("Profile")
    assert page.place == "/profile"
    assert "Ada <Lovelace>" in page.text
    assert "ada@example.com" in page.text

    page.follow("Sign out")
    assert page.place == "/"
    assert "Hello" not in page.text
    page.open("/profile")
    assert page.place == "/?next=%2Fprofile"
    assert page.complaints() == []

    page.fill("sign-in", **{"E-mail": "ada@example.com", "Password": "wrong " + PASSWORD})
    page.press("Sign in")
    assert page.wait_for_alert() == "Invalid email or password"
    (complaint,) = page.complaints()  # Chromium reports every answer of 400 and above
    assert re.search(r"/api/auth/sign-in/email - Failed to load resource: .* status of 401", complaint)

    page.fill("sign-in", Password=PASSWORD)
    page.follow("Sign in")
    assert page.place == "/profile"
    assert "Ada <Lovelace>" in page.text
    assert page.complaints() == []


def test_quickstart_does_not_lead_to_another_site(page: Page) -> None:
    page.open("/?next=https%3A%2F%2Fevil.test%2F")
    page.fill("sign-up", **{"Name": "Ada", "E-mail": "ada@example.com", "Password": PASSWORD})
    page.press("Create account")
    assert page.wait_for_alert() == "Invalid callbackURL"
    assert page.place.startswith("/?next=")
    (complaint,) = page.complaints()
    assert "status of 403" in complaint


def test_console_complaints_are_seen(page: Page) -> None:
    page.open("/")
    assert page.complaints() == []
    page.run("console.error('of the console')")
    page.run("return new Promise((done) => setTimeout(() => { setTimeout(done); throw new Error('of a script'); }))")
    page.run("return fetch('/nowhere').then(() => null)")
    found = page.complaints()
    assert len(found) == 3
    for complaint, expected in zip(found, ("of the console", "of a script", "status of 404"), strict=True):
        assert expected in complaint


def test_social_in_a_browser(start: Start, tmp_path: Path) -> None:
    """A person signs up with one provider, adds the other, and comes back by that one; and refuses."""
    example = start("social", "--demo")
    with chromium(tmp_path) as driver:
        page = Page(driver, example.url)
        page.open("/")
        page.follow("Continue with GitHub")
        assert not driver.current_url.startswith(example.url)
        page.follow("Ada Lovelace")
        assert page.place == "/profile"
        assert "Ada Lovelace, ada@example.com" in page.text
        page.follow("Add Google")
        page.follow("Ada Lovelace")
        assert page.place == "/profile"
        assert "Google" in page.text
        page.follow("Sign out")

        page.follow("Continue with Google")
        page.follow("Ada Lovelace")
        assert "GitHub" in page.text
        page.follow("Sign out")

        page.follow("Continue with GitHub")
        page.follow("Refuse")
        assert "access_denied" in page.text
        assert page.complaints() == []

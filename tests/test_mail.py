"""Messages on their way: to a mail server on loopback that works, is away, is slow or refuses, and through the log."""

from __future__ import annotations

import asyncio
import logging
import re
import smtplib
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiosmtpd.controller import Controller
from conftest import ORIGIN, PASSWORD, STUCK, Browser, Site
from flask import current_app

NEW = "another good password"
LINK = re.compile(r"http://\S+")


class Mailbox:
    """What a mail server has taken, and how it treats who delivers."""

    def __init__(self) -> None:
        self.got: list[EmailMessage] = []
        #: While it is not set, the server is slow.
        self.swift = threading.Event()
        self.swift.set()
        self.refusing: set[str] = set()
        self.arrived = threading.Semaphore(0)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address in self.refusing:
            return "550 No such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        await asyncio.to_thread(self.swift.wait, STUCK)
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert envelope.rcpt_tos == [message["To"]]
        self.got.append(message)  # type: ignore[arg-type]  # the policy makes it one
        self.arrived.release()
        return "250 Taken"

    def link(self) -> str:
        """The link of the newest message."""
        found = LINK.search(self.got[-1].get_content())
        assert found is not None
        return found.group()


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def server(mailbox: Mailbox) -> Iterator[tuple[str, int]]:
    """Where a mail server listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    yield controller.hostname, port
    controller.stop()


class Sender:
    """The callables that an application would write, over SMTP."""

    def __init__(self, where: tuple[str, int]) -> None:
        self.where = where

    def deliver(self, to: str, subject: str, text: str) -> None:
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = "auth@app.example", to, subject
        message.set_content(text)
        with smtplib.SMTP(*self.where, timeout=STUCK) as smtp:
            smtp.send_message(message)

    def send_reset_password(self, user: dict[str, Any], url: str, token: str) -> None:
        self.deliver(user["email"], "Your new password", f"Hello {user['name']}, go to {url}")

    def send_verification_email(self, user: dict[str, Any], url: str, token: str) -> None:
        self.deliver(user["email"], f"Welcome, {user['name']}", f"Is this your address? {url}")

    def send_change_email_confirmation(self, user: dict[str, Any], new_email: str, url: str, token: str) -> None:
        self.deliver(user["email"], "A new address?", f"{new_email} shall be your address: {url}")

    def send_change_email_notice(self, user: dict[str, Any], new_email: str) -> None:
        self.deliver(user["email"], "Your address was changed", f"It is {new_email} now.")

    def options(self, **more: Any) -> dict[str, Any]:
        """The options of an application with these callables."""
        change = {
            "enabled": True,
            "send_change_email_confirmation": self.send_change_email_confirmation,
            "send_change_email_notice": self.send_change_email_notice,
        }
        return {
            "email_and_password": {"send_reset_password": self.send_reset_password, **more},
            "email_verification": {
                "send_verification_email": self.send_verification_email,
                "auto_sign_in_after_verification": True,
            },
            "user": {"change_email": change},
        }


def visit(browser: Browser, link: str) -> Any:
    """Follow a link as it stands in a mail."""
    assert link.startswith(ORIGIN)
    parts = urlsplit(link)
    return browser.get(f"~{parts.path}?{parts.query}")


def ask(site: Site, who: str = "ada") -> Any:
    """Ask for a reset; the answer is not closed yet."""
    client = site.app.test_client(use_cookies=False)
    body = {"email": f"{who}@example.com", "redirectTo": "/new-password"}
    return client.post("/api/auth/request-password-reset", json=body, headers={"Origin": ORIGIN})


# ---------------------------------------------------------------- a server that works


def test_a_forgotten_password_is_set_anew_by_the_mailed_link(
    make_auth: Callable[..., Site], server: tuple[str, int], mailbox: Mailbox
) -> None:
    site = make_auth(**Sender(server).options())
    site.sign_up("ada")
    ask(site).close()
    (message,) = mailbox.got
    assert (message["To"], message["Subject"]) == ("ada@example.com", "Your new password")
    browser = site.browser()
    page = visit(browser, mailbox.link())
    assert page.status_code == 302
    place, _, token = page.headers["Location"].partition("?token=")
    assert place == f"{ORIGIN}/new-password"
    assert browser.post("/reset-password", {"newPassword": NEW, "token": token}).json == {"status": True}
    statuses = [
        site.browser().post("/sign-in/email", {"email": "ada@example.com", "password": word}).status_code
        for word in (PASSWORD, NEW)
    ]
    assert statuses == [401, 200]


def test_an_address_is_verified_by_the_mailed_link(
    make_auth: Callable[..., Site], server: tuple[str, int], mailbox: Mailbox
) -> None:
    site = make_auth(**Sender(server).options(require_email_verification=True))
    browser = site.sign_up("ada", callbackURL="/welcome?first=yes&again=no")
    assert browser.session() is None
    assert mailbox.got[0]["Subject"] == "Welcome, Ada"
    answer = visit(browser, mailbox.link())
    assert answer.headers["Location"] == "/welcome?first=yes&again=no"
    assert browser.session()["user"]["emailVerified"] is True


def test_an_address_is_changed_by_two_mailed_links_and_the_old_one_is_told(
    make_auth: Callable[..., Site], server: tuple[str, int], mailbox: Mailbox
) -> None:
    site = make_auth(**Sender(server).options())
    ada = site.sign_up("ada")
    ada.post("/send-verification-email", {"email": "ada@example.com"})
    visit(ada, mailbox.link())
    ada.post("/change-email", {"newEmail": "new@example.com"})
    visit(ada, mailbox.link())
    visit(ada, mailbox.link())
    assert [message["To"] for message in mailbox.got] == [
        "ada@example.com",
        "ada@example.com",
        "new@example.com",
        "ada@example.com",
    ]
    assert "It is new@example.com now." in mailbox.got[-1].get_content()
    assert ada.session()["user"]["email"] == "new@example.com"


def test_h13_a_name_with_a_line_end_adds_no_recipient(
    make_auth: Callable[..., Site], server: tuple[str, int], mailbox: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    site = make_auth(**Sender(server).options(require_email_verification=True))
    answer = site.sign_up("ada", name="Ada\r\nBcc: eve@example.com")
    assert answer.session() is None
    assert mailbox.got == []  # the library refuses such a subject, and the answer does not tell
    assert "ValueError" in caplog.text


# ---------------------------------------------------------------- one that is away, slow, or refuses


def test_a_server_that_is_away_changes_no_answer_and_is_logged_without_the_link(
    make_auth: Callable[..., Site], caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nowhere = closed.getsockname()
    site = make_auth(**Sender(nowhere).options())
    ada = site.sign_up("ada")
    answers = [ask(site, who) for who in ("ada", "nobody")]
    assert [answer.data for answer in answers] == [answers[0].data] * 2
    assert caplog.text == ""
    for answer in answers:
        answer.close()
    (record,) = caplog.records
    assert (record.levelno, record.exc_info and record.exc_info[0]) == (logging.ERROR, ConnectionRefusedError)
    (row,) = site.rows("verification")
    assert row.identifier.removeprefix("reset-password:") not in caplog.text
    assert ada.post("/send-verification-email", {"email": "ada@example.com"}).json == {"status": True}
    assert ada.post("/change-email", {"newEmail": "new@example.com"}).json == {"status": True}
    assert len(caplog.records) == 3


def test_a_recipient_that_the_server_refuses_changes_no_answer(
    make_auth: Callable[..., Site], server: tuple[str, int], mailbox: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    site = make_auth(**Sender(server).options(require_email_verification=True))
    mailbox.refusing.add("ada@example.com")
    site.sign_up("ada")
    site.sign_up("bob")
    assert [message["To"] for message in mailbox.got] == ["bob@example.com"]
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[0] is smtplib.SMTPRecipientsRefused
    assert len(site.rows("user")) == 2


def test_nobody_waits_for_a_slow_server(
    make_auth: Callable[..., Site], server: tuple[str, int], mailbox: Mailbox
) -> None:
    site = make_auth(**Sender(server).options())
    site.sign_up("ada")
    mailbox.swift.clear()
    answer = ask(site)
    assert answer.json["status"] is True
    assert mailbox.got == []
    mailbox.swift.set()
    answer.close()  # a server closes it when the client has it all
    assert len(mailbox.got) == 1


# ---------------------------------------------------------------- in the background


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as made:
        yield made


def test_the_background_sends_while_the_worker_goes_on(
    make_auth: Callable[..., Site], server: tuple[str, int], mailbox: Mailbox, pool: ThreadPoolExecutor
) -> None:
    site = make_auth(**Sender(server).options(), background=pool.submit)
    site.sign_up("ada")
    mailbox.swift.clear()
    ask(site).close()
    assert mailbox.got == []
    mailbox.swift.set()
    assert mailbox.arrived.acquire(timeout=STUCK)
    assert visit(site.browser(), mailbox.link()).headers["Location"].startswith(f"{ORIGIN}/new-password?token=")


def test_the_background_has_the_application_and_its_failures_are_logged(
    make_auth: Callable[..., Site], pool: ThreadPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Any] = []

    def send(**message: Any) -> None:
        seen.append((current_app.name, threading.current_thread() is threading.main_thread()))
        raise RuntimeError("no mail today")

    futures: list[Any] = []
    site = make_auth(
        email_and_password={"send_reset_password": send}, background=lambda job: futures.append(pool.submit(job))
    )
    site.sign_up("ada")
    site.api.request_password_reset(email="ada@example.com")
    (future,) = futures
    assert future.result(STUCK) is None
    assert seen == [("host", False)]
    assert "no mail today" in caplog.text


def test_a_background_that_takes_nothing_more_changes_no_answer(
    make_auth: Callable[..., Site], caplog: pytest.LogCaptureFixture
) -> None:
    sent: list[Any] = []
    closed = ThreadPoolExecutor(1)
    closed.shutdown()
    site = make_auth(
        email_and_password={"send_reset_password": lambda **message: sent.append(message)}, background=closed.submit
    )
    site.sign_up("ada")
    known, unknown = ask(site), ask(site, "nobody")
    assert known.data == unknown.data
    known.close()
    assert sent == []
    assert "cannot schedule new futures" in caplog.text


# ---------------------------------------------------------------- what is logged


def test_a_link_is_taken_out_of_what_a_failing_sender_says(
    make_auth: Callable[..., Site], caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[dict[str, Any]] = []

    def send(**message: Any) -> None:
        seen.append(message)
        try:
            raise ValueError("bad text", message)
        except ValueError as error:
            raise RuntimeError(f"could not send {message['url']} of {message['token']}") from error

    site = make_auth(email_and_password={"send_reset_password": send})
    site.sign_up("ada")
    ask(site).close()
    (message,) = seen
    assert "could not send [hidden] of [hidden]" in caplog.text
    assert "bad text" in caplog.text
    assert message["token"] not in caplog.text


def logged_link(caplog: pytest.LogCaptureFixture, address: str) -> str:
    """The newest link that the log holds for an address."""
    lines = [record.getMessage() for record in caplog.records if f" for {address}: " in record.getMessage()]
    found = LINK.search(lines[-1])
    assert found is not None
    return found.group()


def test_in_debug_links_are_in_the_log_and_everything_works(
    make_auth: Callable[..., Site], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    options = {
        "email_and_password": {"require_email_verification": True},
        "email_verification": {"auto_sign_in_after_verification": True},
        "user": {"change_email": {"enabled": True}},
    }
    site = make_auth(settings={"DEBUG": True}, **options)
    ada = site.sign_up("ada")
    visit(ada, logged_link(caplog, "ada@example.com"))
    ask(site).close()
    link = logged_link(caplog, "ada@example.com")
    token = urlsplit(link).path.rpartition("/")[2]
    assert ada.post("/reset-password", {"newPassword": NEW, "token": token}).status_code == 200
    assert ada.post("/change-email", {"newEmail": "new@example.com"}).status_code == 200
    visit(ada, logged_link(caplog, "new@example.com"))
    assert ada.session()["user"]["email"] == "new@example.com"


def test_outside_of_debug_what_has_no_sender_is_refused(
    make_auth: Callable[..., Site], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    site = make_auth(user={"change_email": {"enabled": True}})
    ada = site.sign_up("ada")
    answers = [
        ada.post("/request-password-reset", {"email": "ada@example.com"}),
        ada.post("/send-verification-email", {"email": "ada@example.com"}),
        ada.post("/change-email", {"newEmail": "new@example.com"}),
    ]
    assert [(answer.status_code, answer.json.get("code")) for answer in answers] == [
        (400, "RESET_PASSWORD_DISABLED"),
        (400, "VERIFICATION_EMAIL_NOT_ENABLED"),
        (400, None),
    ]
    assert "http" not in caplog.text


# ---------------------------------------------------------------- from the server


def test_the_server_can_do_all_of_it(make_auth: Callable[..., Site]) -> None:
    sent: list[dict[str, Any]] = []
    note = lambda **message: sent.append(message)  # noqa: E731  # shorter
    site = make_auth(
        email_and_password={"send_reset_password": note},
        email_verification={"send_verification_email": note},
        user={"change_email": {"enabled": True}},
    )
    api, ada = site.api, site.sign_up("ada")
    headers = {"Cookie": "; ".join(f"{k}={v}" for k, v in ada.cookies.items())}
    assert api.send_verification_email(email="ada@example.com") == {"status": True}
    assert api.verify_email(query={"token": sent[-1]["token"]}) == {"status": True, "user": None}
    assert api.change_email(new_email="new@example.com", headers=headers) == {"status": True}
    assert api.verify_email(token=sent[-1]["token"], headers=headers)["user"]["email"] == "new@example.com"
    assert api.request_password_reset(email="new@example.com", redirect_to="/x")["status"] is True
    token = sent[-1]["token"]
    answer = api.request_password_reset_callback(token=token, callback_url="/x", as_response=True)
    assert (answer.status_code, answer.headers["Location"]) == (302, f"{ORIGIN}/x?token={token}")
    with pytest.raises(TypeError, match="needs token"):
        api.request_password_reset_callback(callback_url="/x")
    assert api.reset_password(new_password=NEW, token=token) == {"status": True}
    assert api.sign_in_email(email="new@example.com", password=NEW)["token"]


def test_a_mail_that_the_server_asks_for_waits_for_the_applications_commit(make_auth: Callable[..., Site]) -> None:
    sent: list[dict[str, Any]] = []
    site = make_auth(email_and_password={"send_reset_password": lambda **message: sent.append(message)})
    site.sign_up("ada")
    for end in ("rollback", "commit"):
        with site.app.app_context():
            site.api.request_password_reset(email="ada@example.com", session=site.db.session)
            assert sent == []
            getattr(site.db.session, end)()
        assert len(sent) == len(site.rows("verification")) == (1 if end == "commit" else 0)

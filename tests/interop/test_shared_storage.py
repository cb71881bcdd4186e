"""One Redis for npm's ``better-auth`` and the extension: each knows the sessions of both, and what the other ended."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import npm
from conftest import ORIGIN, PASSWORD, SECRET, STUCK, Browser, Site
from secondary import OwnRedis

from flask_better_auth.wire import iso, wire_name

CLIENT = Path(__file__).parent / "client"


def wired(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso(value if value.tzinfo else value.replace(tzinfo=timezone.utc))
    return value


def ask_node(site: Site, own_redis: OwnRedis, browser: Browser, *requests: tuple[Any, ...]) -> list[dict[str, Any]]:
    """What the TypeScript server answers a browser, with the users and accounts as they are now."""
    npm.install(CLIENT)
    rows = {
        table: [{wire_name(name): wired(value) for name, value in row.items()} for row in found]
        for table, found in site.snapshot().items()
    }
    environment = {
        "PATH": os.environ["PATH"],
        "REDIS_URL": own_redis.url,
        "SECRET": SECRET,
        "ORIGIN": ORIGIN,
        "COOKIE": "; ".join(f"{name}={value}" for name, value in browser.cookies.items()),
        "REQUESTS": json.dumps(requests),
    }
    result = subprocess.run(
        [npm.command("node"), "storage.mjs"],
        cwd=CLIENT,
        env=environment,
        input=json.dumps(rows),
        capture_output=True,
        text=True,
        timeout=STUCK,
    )
    assert result.returncode == 0, result.stderr
    answers: list[dict[str, Any]] = json.loads(result.stdout)
    return answers


def test_both_servers_know_the_sessions_of_both(make_auth: Callable[..., Site], own_redis: OwnRedis) -> None:
    site = make_auth(secondary_storage=own_redis.url, password_hash="scrypt")
    one, two = site.sign_up(), site.browser()
    two.post("/sign-in/email", {"email": "ada@example.com", "password": PASSWORD})
    here = one.session()
    shown, listed, changed = ask_node(
        site,
        own_redis,
        one,
        ("GET", "/get-session"),
        ("GET", "/list-sessions"),
        ("POST", "/update-user", {"name": "New"}),
    )
    assert shown["body"] == here
    assert [session["id"] for session in listed["body"]] == [b.session()["session"]["id"] for b in (one, two)]
    assert changed["body"] == {"status": True}
    assert [browser.session()["user"]["name"] for browser in (one, two)] == ["New", "New"]

    (signed_in,) = ask_node(
        site, own_redis, site.browser(), ("POST", "/sign-in/email", {"email": "ada@example.com", "password": PASSWORD})
    )
    third = site.browser()
    third.cookies = dict([signed_in["cookies"][0].partition(";")[0].split("=", 1)])
    assert third.session()["session"]["token"] == signed_in["body"]["token"]
    assert len(third.get("/list-sessions").json) == 3

    (revoked,) = ask_node(site, own_redis, one, ("POST", "/revoke-other-sessions", {}))
    assert revoked["body"] == {"status": True}
    assert [browser.session() is None for browser in (one, two, third)] == [False, True, True]

    cookies = dict(one.cookies)
    assert one.post("/revoke-sessions", {}).status_code == 200
    one.cookies = cookies
    (gone,) = ask_node(site, own_redis, one, ("GET", "/get-session"))
    assert gone["body"] is None

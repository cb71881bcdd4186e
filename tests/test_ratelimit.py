"""Rate limits: the windows against the rule they follow, which rule a path has, and where requests are counted."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import time_machine
from conftest import PASSWORD, Site
from flask import Flask, Request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_sqlalchemy import SQLAlchemy
from limits.strategies import RateLimiter
from sqlalchemy import event

from flask_better_auth import BetterAuth, Call, ConfigError, Limit, RateLimit, Reply
from flask_better_auth.endpoint import Routes
from flask_better_auth.plugin import Plugin
from flask_better_auth.services.counters import DatabaseWindow
from flask_better_auth.urls import path_matcher
from flask_better_auth.windows import MemoryWindow, item_of

EPOCH = datetime(2030, 1, 1, tzinfo=timezone.utc)


@pytest.fixture(autouse=True)
def clock() -> Iterator[time_machine.Traveller]:
    """Time stands still unless a test moves it."""
    with time_machine.travel(EPOCH, tick=False) as traveller:
        yield traveller


@pytest.fixture
def limited(make_auth: Callable[..., Site]) -> Callable[..., Site]:
    """Builds applications with rate limits: ``limited(max=5)``."""

    def make(options: dict[str, Any] | None = None, **rate_limit: Any) -> Site:
        return make_auth(rate_limit={"enabled": True, **rate_limit}, **(options or {}))

    return make


def counted(site: Site, path: str, method: str = "GET", most: int = 150, **options: Any) -> int:
    """How many requests get through; ``most``, if all do."""
    for number in range(most):
        if site.browser().request(method, path, **options).status_code == 429:
            return number
    return most


# ---------------------------------------------------------------- windows, against the rule


def model_of_restarting_window(hits: list[tuple[int, str, Limit]]) -> list[tuple[bool, int]]:
    """The rule of rate-limits.json, ``memory_and_database``, and the seconds of ``X-Retry-After``; as plain as it is
    written there."""
    entries: dict[str, dict[str, int]] = {}
    out = []
    for now, key, limit in hits:
        window = limit.per * 1000
        entry = entries.get(key)
        if entry is None or now - entry["lastRequest"] >= window:
            entries[key] = {"count": 1, "lastRequest": now}
            out.append((True, 0))
        elif entry["count"] >= limit.max:
            milliseconds = entry["lastRequest"] + window - now
            out.append((False, milliseconds // 1000 + (milliseconds % 1000 > 0)))
        else:
            entry["count"] += 1
            entry["lastRequest"] = now
            out.append((True, 0))
    return out


def random_hits(seed: int, number: int) -> list[tuple[int, str, Limit]]:
    """Hits whose pauses meet the ends of windows to the millisecond, before, at and after."""
    dice = random.Random(seed)
    limits = [Limit(1, per=1), Limit(3, per=10), Limit(3, per=60), Limit(7, per=2)]
    pauses = [0, 1, 10, 333, 999, 1000, 1001, 1999, 2000, 2001, 9_999, 10_000, 10_001, 59_999, 60_000]
    now, hits = round(EPOCH.timestamp() * 1000), []
    for _ in range(number):
        now += dice.choice(pauses) if dice.random() < 0.2 else 0
        which = dice.randrange(12)
        hits.append((now, f"192.0.2.{which}|/sign-in/email", limits[which % len(limits)]))
    return hits


@pytest.fixture(params=["memory", "database"])
def window(request: pytest.FixtureRequest, limited: Callable[..., Site]) -> Iterator[MemoryWindow | DatabaseWindow]:
    if request.param == "memory":
        yield MemoryWindow()
        return
    site = limited(storage="database")
    with site.app.app_context():
        yield DatabaseWindow(site.app.extensions["better_auth"])


@pytest.mark.parametrize("seed", range(5))
def test_five_thousand_random_hits_meet_the_rule(
    window: MemoryWindow | DatabaseWindow, clock: time_machine.Traveller, seed: int
) -> None:
    hits = random_hits(seed, 1000)
    seen = []
    for now, key, limit in hits:
        clock.move_to(now / 1000 + 0.0001)  # within the millisecond, whatever floats make of it
        item = item_of(limit)
        through = window.test(item, key)
        assert window.hit(item, key) == through
        seen.append((through, 0 if through else window.wait(item, key)))
    expected = model_of_restarting_window(hits)
    assert seen == expected
    assert min(Counter(through for through, _ in expected).values()) > 100


def test_a_window_tells_what_is_left_and_when_it_ends(
    window: MemoryWindow | DatabaseWindow, clock: time_machine.Traveller
) -> None:
    item = item_of(Limit(3, per=10))
    assert window.get_window_stats(item, "key").remaining == 3
    assert window.hit(item, "key", cost=2)
    assert not window.hit(item, "key", cost=2)
    clock.shift(4)
    assert window.hit(item, "key")
    assert window.get_window_stats(item, "key") == (EPOCH.timestamp() + 14, 0)
    clock.shift(10)
    assert window.get_window_stats(item, "key").remaining == 3
    assert window.hit(item, "key")
    window.clear(item, "key")
    assert window.get_window_stats(item, "key").remaining == 3


def test_redis_counts_in_a_fixed_window_and_refused_requests_too(limited: Callable[..., Site], redis_url: str) -> None:
    counters = limited(storage=redis_url).app.extensions["better_auth"].limits.counters
    dice, seen = random.Random(0), Counter[str]()
    limits = {f"key {n}": Limit(dice.randrange(1, 60), per=3600) for n in range(50)}
    for _ in range(5000):
        key = dice.choice(list(limits))
        refusal = counters.take(item_of(limits[key]), key)
        seen[key] += 1
        assert (refusal is None) == (seen[key] <= limits[key].max)
        assert refusal is None or refusal == (3600, False)


def test_the_database_forgets_keys_whose_windows_are_over(
    limited: Callable[..., Site], clock: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_better_auth.services.counters._CLEAN_UP_EVERY", 5)
    site = limited(storage="database")
    model = site.auth.model("rate_limit")
    with site.app.app_context():
        window = DatabaseWindow(site.app.extensions["better_auth"])
        for number in range(4):
            window.hit(item_of(Limit(3, per=10)), f"old {number}")
        clock.shift(timedelta(days=1))
        window.hit(item_of(Limit(3, per=10)), "new")
        assert site.db.session.scalars(site.db.select(model.key)).all() == ["new"]


def test_a_request_that_is_let_through_costs_one_statement(limited: Callable[..., Site]) -> None:
    site = limited(storage="database", max=3)
    site.browser().get("/ok")
    statements: list[str] = []
    with site.app.app_context():
        engine = site.db.engine
    event.listen(engine, "before_cursor_execute", lambda conn, cur, text, *rest: statements.append(text.split()[0]))
    site.browser().get("/ok")
    assert statements == ["UPDATE"]


# ---------------------------------------------------------------- which limit a path has


class Things(Plugin):
    """Endpoints with limits of their own."""

    id = "things"
    routes = Routes()
    rate_limits = (("/things/ruled", Limit(4, per=10)), ("/things/*", Limit(6, per=10)))


@Things.routes.get("/things/ruled", limit=Limit(9, per=10))
def ruled(call: Call) -> Reply:
    return Reply({})


@Things.routes.get("/things/fits")
def fits(call: Call) -> Reply:
    return Reply({})


@Things.routes.get("/limited", limit=Limit(2, per=10))
def declared(call: Call) -> Reply:
    return Reply({})


@Things.routes.get("/sign-in/declared", limit=Limit(5, per=10))
def declared_and_special(call: Call) -> Reply:
    return Reply({})


@Things.routes.get("/thing/<name>")
def named(call: Call) -> Reply:
    return Reply(call.params)


class Others(Plugin):
    """Comes later."""

    id = "others"
    rate_limits = (("/things/**", Limit(1, per=10)), ("/sign-up/email", Limit(2, per=10)))


@pytest.mark.parametrize(
    ("path", "method", "limit"),
    [
        ("/ok", "GET", 100),
        ("/get-session", "GET", 100),
        ("/sign-in/email", "POST", 3),
        ("/request-password-reset", "POST", 3),
        ("/sign-up/email", "POST", 2),
        ("/sign-in/declared", "GET", 5),
        ("/limited", "GET", 2),
        ("/things/ruled", "GET", 4),
        ("/things/fits", "GET", 6),
    ],
)
def test_the_default_yields_to_the_path_the_endpoint_and_the_plugins(
    limited: Callable[..., Site], path: str, method: str, limit: int
) -> None:
    site = limited({"plugins": [Things(), Others()]})
    assert counted(site, path, method) == limit


def test_custom_rules_have_the_last_word_and_the_first_that_fits_counts(limited: Callable[..., Site]) -> None:
    rules = {
        "/ok": False,
        "/things/f*": {"window": 60, "max": 1},
        "/sign-in/*": Limit(8, per=10),
        "/sign-in/email": Limit(1, per=10),
        "/limited": {"max": 3, "per": 10},
    }
    site = limited({"plugins": [Things()]}, custom_rules=rules, max=7)
    paths = [("/ok", "GET"), ("/things/fits", "GET"), ("/sign-in/email", "POST"), ("/limited", "GET")]
    assert [counted(site, path, method) for path, method in paths] == [150, 1, 8, 3]
    assert counted(site, "/error") == 7


@pytest.mark.parametrize(
    ("result", "limit"),
    [(None, 3), (False, 150), (Limit(5, per=10), 5), ({"window": 10, "max": 1}, 1)],
    ids=["nothing", "none", "limit", "dict"],
)
def test_a_function_decides_by_the_request(limited: Callable[..., Site], result: Any, limit: int) -> None:
    asked: list[tuple[str, Limit]] = []

    def decide(request: Request, given: Limit) -> Any:
        asked.append((request.path, given))
        return result

    site = limited(custom_rules={"/sign-in/email": decide})
    assert counted(site, "/sign-in/email", "POST") == limit
    assert set(asked) == {("/api/auth/sign-in/email", Limit(3, per=10))}


def test_a_parameter_in_a_path_makes_no_path_of_its_own(limited: Callable[..., Site]) -> None:
    site = limited({"plugins": [Things()]}, max=4, custom_rules={"/thing/free": False, "/thing/x*": Limit(1, per=9)})
    answers = [site.browser().get(f"/thing/{name}").status_code for name in "abcde"]
    assert answers == [200, 200, 200, 200, 429]
    assert counted(site, "/thing/free", most=9) == 9  # custom rules see the path as it came
    assert counted(site, "/thing/xyz") == 0


@pytest.mark.parametrize(
    ("pattern", "fits", "does_not"),
    [
        ("/a", ["/a"], ["/a/b", "/ab", "/A"]),
        ("/a?", ["/a?"], ["/ab"]),  # no star, no pattern
        ("/a/*", ["/a/b", "/a/"], ["/a", "/a/b/c"]),
        ("/a*", ["/a", "/ab"], ["/a/b"]),
        ("/a/?b*", ["/a/xb", "/a/xbc"], ["/a/b", "/a//b"]),
        ("/a/**", ["/a/b", "/a/b/c", "/a", "/ax"], ["/b/a"]),
        ("/a/**/z", ["/a/z", "/a/b/z", "/a/b/c/z"], ["/a/xz", "/a/b/xz"]),
        ("/**/z", ["/z", "/a/z", "/a/b/z"], ["/xz"]),
        ("/a**", ["/a", "/ab"], ["/a/b"]),
        ("/a/***", ["/a/b"], ["/a/b/c"]),
        ("/a.c*", ["/a.c", "/a.cd"], ["/abc"]),
        ("**", ["/a", "/a/b"], []),
    ],
)
def test_wildcards_fit_as_in_the_reference(pattern: str, fits: list[str], does_not: list[str]) -> None:
    matches = path_matcher(pattern)
    assert [path for path in (*fits, *does_not) if matches(path)] == fits


def test_the_key_is_the_address_and_the_path(limited: Callable[..., Site]) -> None:
    site = limited(storage="database")
    for address in ("192.0.2.1", "2001:db8::1", ""):
        site.browser().post("/sign-in/email?x=1", {}, environ_base={"REMOTE_ADDR": address})
    with site.app.app_context():
        keys = site.db.session.scalars(site.db.select(site.auth.model("rate_limit").key)).all()
    assert sorted(keys) == [
        "192.0.2.1|/sign-in/email",
        "2001:0db8:0000:0000:0000:0000:0000:0000|/sign-in/email",
        "no-trusted-ip|/sign-in/email",
    ]


# ---------------------------------------------------------------- when there are limits


@pytest.mark.parametrize(
    ("debug", "testing", "enabled", "limit"),
    [
        (False, False, None, 3),
        (True, False, None, 150),
        (False, True, None, 150),
        (False, False, False, 150),
        (True, True, True, 3),
    ],
)
def test_limits_are_on_except_in_debug_and_testing(
    make_auth: Callable[..., Site], debug: bool, testing: bool, enabled: bool | None, limit: int
) -> None:
    site = make_auth(rate_limit=RateLimit(enabled=enabled))
    site.app.debug, site.app.testing = debug, testing
    assert counted(site, "/sign-in/email", "POST") == limit


def test_without_addresses_there_is_no_limit_by_address(limited: Callable[..., Site]) -> None:
    options = {"advanced": {"ip_address": {"disable_ip_tracking": True}}}
    site = limited(options, failures_per_account=Limit(4, per=60))
    assert counted(site, "/sign-in/email", "POST") == 150
    body = {"email": "ada@example.com", "password": PASSWORD}
    assert [site.browser().post("/sign-in/email", body).status_code for _ in range(5)] == [401] * 4 + [429]


def test_without_additions_the_answer_is_the_reference_s(limited: Callable[..., Site]) -> None:
    site = limited({"additions": False}, max=1)
    site.browser().get("/ok")
    answer = site.browser().get("/ok")
    assert answer.json == {"message": "Too many requests. Please try again later."}
    assert answer.headers["X-Retry-After"] == "10"
    assert "Retry-After" not in answer.headers


def test_without_hardening_accounts_and_recipients_have_no_limit(limited: Callable[..., Site]) -> None:
    sent: list[str] = []
    site = limited(
        {
            "hardening": False,
            "email_and_password": {"send_reset_password": lambda user, **_: sent.append(user["email"])},
        },
        custom_rules={"/**": False},
        failures_per_account=Limit(1, per=60),
        mails_per_recipient=Limit(1, per=60),
    )
    site.sign_up("ada")
    body = {"email": "ada@example.com", "password": "wrong password"}
    assert [site.browser().post("/sign-in/email", body).status_code for _ in range(3)] == [401] * 3
    for _ in range(3):
        site.browser().post("/request-password-reset", {"email": "ada@example.com"})
    assert len(sent) == 3


def test_limits_of_accounts_and_recipients_can_be_switched_off(limited: Callable[..., Site]) -> None:
    site = limited(
        {"email_and_password": {"send_reset_password": lambda **_: sent.append(1)}},
        custom_rules={"/**": False},
        failures_per_account=None,
        mails_per_recipient=None,
    )
    sent: list[int] = []
    site.sign_up("ada")
    body = {"email": "ada@example.com", "password": "wrong password"}
    assert {site.browser().post("/sign-in/email", body).status_code for _ in range(101)} == {401}
    for _ in range(6):
        site.browser().post("/request-password-reset", {"email": "ada@example.com"})
    assert len(sent) == 6


# ---------------------------------------------------------------- where requests are counted


def test_counting_leaves_the_application_s_transaction_alone(limited: Callable[..., Site], dialect: str) -> None:
    site = limited(storage="database", max=2)
    model = site.auth.model("rate_limit")

    @site.app.before_request
    def begin() -> None:
        site.db.session.add(site.auth.User(name="Pending", email="pending@example.com"))
        site.db.session.execute(site.db.select(site.auth.User).limit(1))

    @site.app.teardown_request
    def end(_: Any) -> None:
        site.db.session.rollback()

    # on SQLite the writer is the application: this process counts by itself then, and nothing is committed for it
    assert [site.browser().get("/ok").status_code for _ in range(3)] == [200, 200, 429]
    with site.app.app_context():
        assert len(site.db.session.scalars(site.db.select(model)).all()) == (dialect != "sqlite")
        assert site.db.session.scalars(site.db.select(site.auth.User)).all() == []


def test_the_table_is_there_only_if_it_is_used(make_auth: Callable[..., Site]) -> None:
    site = make_auth()
    assert "rate_limit" not in site.db.metadata.tables
    with pytest.raises(KeyError):
        site.auth.model("rate_limit")


def test_the_table_is_named_as_the_database_of_the_reference_is(make_auth: Callable[..., Site]) -> None:
    site = make_auth(naming="camelCase", password_hash="scrypt", rate_limit={"enabled": True, "storage": "database"})
    table = site.auth.model("rate_limit").__table__
    assert table.name == "rateLimit"
    assert set(table.columns.keys()) == {"id", "key", "count", "lastRequest"}
    assert counted(site, "/sign-in/email", "POST") == 3


@pytest.fixture
def limiter() -> Limiter:
    """The application's own."""
    return Limiter(get_remote_address, storage_uri="memory://", strategy="fixed-window")


def test_the_application_s_limiter_counts(make_auth: Callable[..., Site], limiter: Limiter) -> None:
    site = make_auth(limiter=limiter, rate_limit={"enabled": True})
    limiter.init_app(site.app)  # later than the extension
    answers = [site.browser().post("/sign-in/email", {}) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [400, 400, 400, 429, 429]
    assert answers[-1].headers["X-Retry-After"] == "10"
    assert limiter.storage.get(item_of(Limit(3, per=10)).key_for("127.0.0.1|/sign-in/email")) == 5


def test_a_limiter_that_is_switched_off_limits_nothing(make_auth: Callable[..., Site], limiter: Limiter) -> None:
    site = make_auth(limiter=limiter, rate_limit={"enabled": True})
    site.app.config["RATELIMIT_ENABLED"] = False
    limiter.init_app(site.app)
    assert counted(site, "/sign-in/email", "POST") == 150


def test_a_limiter_that_nobody_has_set_up_leaves_the_door_closed(
    make_auth: Callable[..., Site], limiter: Limiter, caplog: pytest.LogCaptureFixture
) -> None:
    site = make_auth(limiter=limiter, rate_limit={"enabled": True})
    answers = [site.browser().post("/sign-in/email", {}).status_code for _ in range(5)]
    assert answers == [400, 400, 400, 503, 503]
    assert "storage of the rate limits" in caplog.text


# ---------------------------------------------------------------- configuration


def configured(**rate_limit: Any) -> BetterAuth:
    app = Flask("configured")
    app.testing = True
    app.config.update(SECRET_KEY="x" * 16 + "y" * 16, SQLALCHEMY_DATABASE_URI="sqlite://")
    SQLAlchemy(app)
    limiter = rate_limit.pop("limiter", None)
    return BetterAuth(app, rate_limit=rate_limit, limiter=limiter)


@pytest.mark.parametrize(
    "wrong",
    [
        {"storage": "disk"},
        {"storage": "unknown://host"},
        {"storage": "async+redis://host"},
        {"storage": ""},
        {"max": 0},
        {"window": 0},
        {"custom_rules": {"/ok": True}},
        {"custom_rules": {"/ok": {"window": 10}}},
        {"custom_rules": {"/ok": {"window": 10, "max": "many"}}},
        {"custom_rules": {"/ok": {"window": 0, "max": 1}}},
        {"failures_per_account": 5},
        {"storage": "database", "limiter": Limiter(get_remote_address)},
    ],
)
def test_a_wrong_setting_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        configured(**wrong)


def test_settings_come_from_the_environment_too(make_auth: Callable[..., Site]) -> None:
    site = make_auth(
        settings={
            "BETTER_AUTH_RATE_LIMIT_ENABLED": "true",
            "BETTER_AUTH_RATE_LIMIT_MAX": "2",
            "BETTER_AUTH_RATE_LIMIT_STORAGE": "database",
            "BETTER_AUTH_RATE_LIMIT_FAILURES_PER_ACCOUNT": {"max": 1, "per": 60},
        }
    )
    assert counted(site, "/ok") == 2
    assert site.app.extensions["better_auth"].config.rate_limit.failures_per_account == Limit(1, per=60)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigError, match=r"flask-better-auth\[redis\]") as refused:
        configured(storage="redis://user:hush@host")
    assert "hush" not in str(refused.value)


def test_redis_is_loaded_only_if_it_is_used() -> None:
    code = "import sys, flask_better_auth; assert 'redis' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_windows_are_strategies_of_limits() -> None:
    assert issubclass(MemoryWindow, RateLimiter)
    assert issubclass(DatabaseWindow, RateLimiter)

"""Who is signed in: get-session over HTTP, with and without the cookie cache, ``current_user``, ``auth.api``."""

from __future__ import annotations

import json

from . import site as sites
from .measure import Report, Timing, interleaved
from .site import backend, bare, build, by_token, dispose, sender, sign_up

#: "Level" within what two runs of the same code may differ by.
_LEVEL = 0.95


def run(report: Report, url: str, *, rounds: int) -> None:
    """Measure every way of asking who is signed in, on one database."""
    with sites.site(url) as site, bare(site) as plain, bare(site, autocommit=True) as autocommit:
        cookie, token = sign_up(site)
        by_name = f"token={token}"
        with autocommit.app_context():
            # not the engine under measurement: it would remember the first of two equal statements, and the other pays
            reader = site.db.engine
        statement = by_token(site.auth)

        def select() -> None:
            with reader.connect() as connection:
                connection.execute(statement, {"token": token}).all()

        cached = build(url, session={"cookie_cache": {"enabled": True, "max_age": 3600}})
        copied = sender(cached.app, "GET", "/api/auth/get-session", cookie=sign_up(cached, "copy@example.com")[0])
        constant = json.loads(copied().body)
        plain.add_url_rule("/constant", view_func=lambda: constant)
        api, headers = site.api, {"Cookie": cookie}
        took = interleaved(
            {
                "bare view": sender(plain, "GET", "/bare/get-session", cookie=by_name),
                "bare view again": sender(plain, "GET", "/bare/get-session", cookie=by_name),
                "bare view, AUTOCOMMIT": sender(autocommit, "GET", "/bare/get-session", cookie=by_name),
                "get-session": sender(site.app, "GET", "/api/auth/get-session", cookie=cookie),
                "constant JSON": sender(plain, "GET", "/constant"),
                "get-session, cookie cache": copied,
                "bare view with an entity": sender(plain, "GET", "/bare/current-user", cookie=by_name),
                "current_user": sender(site.app, "GET", "/current-user", cookie=cookie),
                "empty view": sender(site.app, "GET", "/nothing", cookie=cookie),
                "auth.api in a view": sender(site.app, "GET", "/nested", cookie=cookie),
                "auth.api in a script": lambda: api.get_session(headers=headers),
                "the SELECT": select,
            },
            rounds=rounds,
        )
        dispose(cached.app, cached.db)
    _tell(report, backend(url), took)


def _tell(report: Report, database: str, took: dict[str, Timing]) -> None:
    report.title(f"Who is signed in, on {database}")
    for name, timing in took.items():
        report.timing(name, timing)
    bare_, get = took["bare view"], took["get-session"]
    noise = abs(took["bare view again"].cpu_us / bare_.cpu_us - 1)
    report.note(f"noise: the bare view and itself differ by {noise:.1%} of CPU")
    for name, least in (("bare view", 0.85), ("bare view, AUTOCOMMIT", _LEVEL)):
        beside = f"of CPU, {took[name].wall_us / get.wall_us:.2f} by the clock"
        report.mark(f"{database}: get-session / {name}", took[name].cpu_us / get.cpu_us, least=least, beside=beside)
    copied = took["constant JSON"].cpu_us / took["get-session, cookie cache"].cpu_us
    report.mark(f"{database}: get-session with the cookie cache / constant JSON", copied, least=0.80)
    over = took["current_user"].cpu_us - took["bare view with an entity"].cpu_us
    report.mark(f"{database}: current_user over the bare SELECT", over, most=60, unit=" us")
    select = took["the SELECT"].cpu_us
    inside = took["auth.api in a view"].cpu_us - took["empty view"].cpu_us
    script = took["auth.api in a script"].cpu_us
    for name, value, most in (("inside a request", inside, 140), ("from a script", script, 210)):
        report.mark(
            f"{database}: auth.api.get_session {name}, over the SELECT",
            value - select,
            most=most,
            unit=" us",
            beside=f"with it {value:.0f} us",
        )
    if database == "postgresql":
        report.mark("get-session a second, one process", get.rate, least=1000, beside=f"{1e6 / get.cpu_us:.0f} by CPU")

"""Signing in and up: what they take beside the password hash."""

from __future__ import annotations

import itertools

from . import site as sites
from .measure import Report, interleaved
from .site import EMAIL, PASSWORD, backend, sender, sign_up


def run(report: Report, url: str, *, rounds: int) -> None:
    """Measure sign-in and sign-up with the hash of production, and that hash by itself."""
    with sites.site(url) as site:
        sign_up(site)
        passwords = site.app.extensions["better_auth"].passwords
        stored = passwords.hash(PASSWORD)
        numbers = itertools.count(1)

        def newcomer() -> dict[str, str]:
            return {"name": "New", "email": f"new{next(numbers)}@example.com", "password": PASSWORD}

        took = interleaved(
            {
                "the hash": lambda: passwords.verify(stored, PASSWORD),
                "the hash again": lambda: passwords.verify(stored, PASSWORD),
                "sign-in": sender(
                    site.app, "POST", "/api/auth/sign-in/email", body={"email": EMAIL, "password": PASSWORD}
                ),
                "sign-up": sender(site.app, "POST", "/api/auth/sign-up/email", body=newcomer),
            },
            rounds=rounds,
        )
    database = backend(url)
    report.title(f"Signing in and up, on {database}")
    for name, timing in took.items():
        report.timing(name, timing)
    hash_ = took["the hash"]
    noise = abs(took["the hash again"].cpu_us - hash_.cpu_us) / 1000
    report.note(f"noise: the hash and itself differ by {noise:.2f} ms of CPU")
    for name, most in (("sign-in", 2), ("sign-up", 3)):
        clock = (took[name].wall_us - hash_.wall_us) / 1000
        over = (took[name].cpu_us - hash_.cpu_us) / 1000
        report.mark(
            f"{database}: {name} over the hash", over, most=most, unit=" ms", beside=f"of CPU, {clock:.2f} by the clock"
        )
    if database == "postgresql":
        share = took["the hash"].wall_us / took["sign-in"].wall_us
        report.mark("sign-in / the pure hash, a second", share, least=0.9, beside="by the clock")

"""Trusted origins and redirect targets: the table, and random URLs against a reader that works as browsers do."""

from __future__ import annotations

import ipaddress
import json
import re
import string
import unicodedata
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_better_auth.urls import base_origin, is_relative, is_trusted_origin, is_trusted_target, matches, origin_of

VECTORS = json.loads((Path(__file__).parent / "vectors" / "origins.json").read_text())
ROWS = [
    pytest.param(*row, id=f"{group}-{row[0]!a}-{row[1]}")
    for group in VECTORS
    if group != "about"
    for row in VECTORS[group]
]


@pytest.mark.parametrize(("url", "pattern", "as_origin", "as_callback"), ROWS)
def test_a_trusted_origin_covers(url: str, pattern: str, as_origin: bool, as_callback: bool) -> None:
    assert is_trusted_origin(url, (pattern,)) is as_origin
    assert is_trusted_target(url, (pattern,)) is as_callback
    assert is_trusted_target(url, ("https://unrelated.test", pattern)) is as_callback


def test_without_patterns_only_paths_are_trusted() -> None:
    assert is_trusted_target("/dash", ())
    assert not is_trusted_target("https://app.example.com", ())


@pytest.mark.parametrize("start", ["/", "https://app.example.com/", "https://a.site.com/?", "myapp://callback/"])
def test_a_target_has_at_most_2048_characters(start: str) -> None:
    patterns = ("https://app.example.com", "https://*.site.com", "myapp://callback")
    longest = start.ljust(2048, "a")
    assert is_trusted_target(longest, patterns)
    assert not is_trusted_target(longest + "a", patterns)


def test_an_origin_is_read_from_at_most_2048_characters() -> None:
    longest = "https://app.example.com/".ljust(2048, "a")
    assert origin_of(longest) == "https://app.example.com"
    assert origin_of(longest + "a") is None


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://App.Example.com/auth", "https://app.example.com"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("http://localhost:5000/", "http://localhost:5000"),
    ],
)
def test_the_origin_of_a_base_url_is_what_browsers_call_it(url: str, origin: str) -> None:
    assert base_origin(url) == origin


# ---------------------------------------------------------------- a reader that works as the WHATWG standard says


class Place(NamedTuple):
    """Where a browser goes: an origin for the web's schemes, scheme and authority as written for any other."""

    scheme: str
    host: str
    port: int | None = None

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}" + ("" if self.port is None else f":{self.port}")


PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21}
ENDS = "".join(map(chr, range(0x21)))
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
FORBIDDEN = re.compile(r"[\x00-\x20\x7f#/:<>?@\[\\\]^|%]")


def read(text: str, base: Place) -> Place | None:
    """Where ``text`` leads on a page of ``base``; ``None`` where a browser goes nowhere."""
    text = re.sub(r"[\t\n\r]", "", text.strip(ENDS))
    found = SCHEME.match(text)
    if found is None:
        text = text.replace("\\", "/")
        return web(base.scheme, text) if text.startswith("//") else base
    scheme, rest = found[1].lower(), text[found.end() :]
    if scheme not in PORTS:
        opaque = scheme == "file" or not rest.startswith("//")
        return Place(scheme, "" if opaque else re.split("[/?#]", rest[2:], maxsplit=1)[0])
    rest = rest.replace("\\", "/")
    if scheme == base.scheme and not rest.startswith("//"):
        return base
    return web(scheme, rest)


def web(scheme: str, rest: str) -> Place | None:
    authority = re.split("[/?#]", rest.lstrip("/"), maxsplit=1)[0].rpartition("@")[2]
    host, colon, port = authority.rpartition(":")
    if not colon or authority.endswith("]"):
        host, port = authority, ""
    name = bracketed(host) if host.startswith("[") else named(host)
    if not name or not re.fullmatch("[0-9]*", port) or int(port or 0) > 65535:
        return None
    return Place(scheme, name, int(port) if port and int(port) != PORTS[scheme] else None)


def bracketed(host: str) -> str | None:
    try:
        return f"[{ipaddress.IPv6Address(host[1:-1])}]" if host.endswith("]") and "%" not in host else None
    except ValueError:
        return None


def named(host: str) -> str | None:
    text = re.sub("[\u00ad\u200b\ufeff]", "", unquote_to_bytes(host).decode(errors="replace")).replace("\u3002", ".")
    name = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    if FORBIDDEN.search(name) or "\ufffd" in name:
        return None
    labels = [label if label.isascii() else "xn--" + label.encode("punycode").decode() for label in name.split(".")]
    numbers = labels[:-1] if len(labels) > 1 and not labels[-1] else labels
    if re.fullmatch("[0-9]+|0x[0-9a-f]*", numbers[-1]):
        return ipv4(numbers)
    return ".".join(labels)


def ipv4(parts: list[str]) -> str | None:
    """The address that decimal, octal and hexadecimal parts stand for; the last one fills what is missing."""
    values = []
    for part in parts:
        if not re.fullmatch("0[0-7]*|[1-9][0-9]*|0x[0-9a-f]*", part):
            return None
        values.append(int(part[2:] or "0", 16) if part.startswith("0x") else int(part, 8 if part[0] == "0" else 10))
    *first, last = values
    if len(values) > 4 or any(value > 255 for value in first) or last >= 256 ** (5 - len(values)):
        return None
    return str(ipaddress.IPv4Address(sum(value << 8 * (3 - i) for i, value in enumerate(first)) + last))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("/x", "https://app.example.com"),
        ("x:y", "x://"),
        ("//evil.test", "https://evil.test"),
        ("/\\evil.test", "https://evil.test"),
        ("///evil.test", "https://evil.test"),
        (" \t/\n/evil.test/", "https://evil.test"),
        ("https:evil.test", "https://app.example.com"),
        ("http:evil.test", "http://evil.test"),
        ("https:\\evil.test", "https://app.example.com"),
        ("https:\\\\evil.test\\.site.com", "https://evil.test"),
        ("https://a@b@evil.test:0443?@c", "https://evil.test"),
        ("https://EV\u0130L.test:8443", "https://xn--evil-swc.test:8443"),
        ("https://\uff45vil%2etest", "https://evil.test"),
        ("https://0x7f.1", "https://127.0.0.1"),
        ("https://1.2.3.4.", "https://1.2.3.4"),
        ("https://[0:0::1]", "https://[::1]"),
        ("myapp://x@Callback/y", "myapp://x@Callback"),
        ("https://", None),
        ("https://a.08", None),
        ("https://a:99999", None),
        ("https://a%2fb", None),
    ],
)
def test_the_reader_reads_as_browsers_do(text: str, place: str | None) -> None:
    found = read(text, Place("https", "app.example.com"))
    assert (None if found is None else str(found)) == place


# ---------------------------------------------------------------- random URLs

BASES = [Place("https", "app.example.com"), Place("http", "localhost", 5000)]
PATTERNS = (
    "https://app.example.com",
    "http://localhost:5000",
    "https://*.site.com",
    "*.trusted.test",
    "http://192.168.*.*",
    "myapp://callback",
    "exp://10.0.0.*:*",
)
SEEDS = [
    "/",
    "/dash?next=/x#y",
    "https://app.example.com/a/b?c=d#e",
    "https://a.site.com/a/b?c=d#e",
    "https://a.site.com:443",
    "http://b.trusted.test",
    "http://192.168.1.5:3000/x",
    "http://localhost:5000",
    "myapp://callback/a/b?c=d#e",
    "exp://10.0.0.1:8081/--/x",
    "https://[::1]:3000",
    "https://evil.test/x",
    "ftp://b.trusted.test",
]
BITS = [
    *("/", "//", "\\", ":", "@", "?", "#", "%", "%2f", "%5C", "%2e", "%40", "%00", ".", "..", "-", "_", "[", "]", "|"),
    *("\t", "\n", "\r", "\0", "\x1f", " ", "\x7f", "\x85", "\xa0", "\xad", "\u200b", "\u2028", "\u3000", "\ufeff"),
    *("\u3002", "\uff0e", "\uff0f", "\uff20", "\uff1a", "\u0131", "\u0130", "\u017f", "\u212a", "\u0665", "\uff11"),
    *("https:", "http:", "HTTPS:", "ftp:", "file:", "javascript:", "data:", "myapp:", "exp:", "https://", "http://"),
    *("evil.test", "app.example.com", "a.site.com", ".site.com", ".trusted.test", "192.168.", "10.0.0.", "callback"),
    *("0", "1", "08", "010", "255", "256", "0x7f", "99999", ":443", ":80", ":0443"),
    *("[::1]", "[0:0::1]", "[::", "A", "z"),
]


def random_url(random: Random) -> str:
    """A trusted URL with something put into it, or pieces of URLs in any order."""
    if random.random() < 0.4:
        return "".join(random.choices(BITS, k=random.randint(0, 7)))
    url = random.choice(SEEDS)
    for _ in range(random.randint(1, 3)):
        start = random.randint(0, len(url))
        url = url[:start] + random.choice(BITS) + url[start + random.randint(0, 2) :]
    return url


def for_random(look: Callable[[Random], None]) -> None:
    """Call ``look`` 10,000 times; a hundred per example, since an example costs far more than a look."""

    @settings(max_examples=100, deadline=None, database=None)
    @given(st.randoms(use_true_random=True))
    def many(random: Random) -> None:
        for _ in range(100):
            look(random)

    many()


def is_ours(place: Place | None, base: Place) -> bool:
    """Whether ``PATTERNS`` or the own origin mean this place; written without the package."""
    if place is None:
        return False
    scheme, host, port = place
    return any(
        (
            place in (base, *BASES),
            (scheme, port) == ("https", None) and host.endswith(".site.com"),
            port is None and host.lower().endswith(".trusted.test"),
            scheme == "http" and re.fullmatch(r"192\.168\.[0-9]+\.[0-9]+", host),
            scheme == "exp" and re.fullmatch(r"10\.0\.0\.[0-9]+:[0-9]+", host),
            (scheme, host) == ("myapp", "callback"),
        )
    )


def test_every_trusted_target_leads_to_a_trusted_place() -> None:
    trusted = set()

    def look(random: Random) -> None:
        url = random_url(random)
        if is_trusted_target(url, PATTERNS):
            trusted.add(url)
            for base in BASES:
                assert is_ours(read(url, base), base), url

    for_random(look)
    assert sum(is_relative(url) for url in trusted) > 50
    assert sum(not is_relative(url) for url in trusted) > 50


def test_every_origin_is_the_one_that_browsers_see() -> None:
    origins = set()

    def look(random: Random) -> None:
        url = random_url(random)
        origin = origin_of(url)
        if origin is not None:
            origins.add(origin)
            for base in BASES:
                assert str(read(url, base)) == origin, url

    for_random(look)
    assert len(origins) > 50


def test_every_plain_url_of_a_trusted_place_is_trusted() -> None:
    letters, more = string.ascii_lowercase + string.digits, string.ascii_letters + string.digits + "-._~!$&'()*+,;=:@"

    def look(random: Random) -> None:
        label = "".join(random.choices(letters, k=random.randint(1, 9)))
        path = "".join(f"/{''.join(random.choices(more, k=random.randint(1, 8)))}" for _ in range(random.randint(1, 3)))
        tail = random.choice(["", "?", "#"]) + "".join(random.choices(more + "/?%", k=random.randint(0, 9)))
        rest = path + (tail if tail[:1] in "?#" else "")
        for start in (f"https://{label}.site.com", f"http://{label}.trusted.test", "myapp://callback"):
            assert is_trusted_target(start + rest, PATTERNS), start + rest
            assert is_trusted_origin(start, PATTERNS)
        assert is_trusted_target(rest, PATTERNS), rest
        assert not is_trusted_target(f"https://{label}.evil.test{rest}", PATTERNS)

    for_random(look)


def test_no_text_makes_the_matching_fail() -> None:
    patterns = ("", "*", "?", "://", "https://", "*://", "https://[", "https://(", "app://*/x")

    @settings(max_examples=500, deadline=None, database=None)
    @given(st.text())
    def look(text: str) -> None:
        for pattern in patterns:
            assert matches(text, pattern) in (True, False)
            assert matches("https://a.site.com", text) in (True, False)

    look()

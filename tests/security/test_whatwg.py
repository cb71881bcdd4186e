"""SECURITY A12: whatever is taken for a trusted target, a real URL parser, that of Node, reads as a trusted place."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_urls import BASES, PATTERNS, Place, is_ours, random_url

from flask_better_auth.urls import is_relative, is_trusted_target, origin_of

#: Reads lines, each the JSON of a base and a text, and says where a browser would go: scheme, host, the port of
#: a URL of the web, and user information; or null.
READER = """
const { createInterface } = require("node:readline");
const lines = createInterface({ input: process.stdin, crlfDelay: Infinity });
lines.on("line", (line) => {
  const [base, text] = JSON.parse(line);
  let place = null;
  try {
    const url = new URL(text, base);
    const web = /^https?:$/.test(url.protocol);
    const [host, port] = web ? [url.hostname, url.port] : [url.host, ""];
    place = [url.protocol.slice(0, -1), host, port, url.username + url.password];
  } catch {}
  process.stdout.write(JSON.stringify(place) + "\\n");
});
"""
Asked = list[tuple[str, str]]


def read(asked: Asked) -> list[Place | None]:
    """Where a browser goes that follows each text from its base; one process reads them all."""
    node = shutil.which("node") or pytest.fail("node is missing: install Node 20 or later")
    lines = "".join(json.dumps(pair) + "\n" for pair in asked)
    result = subprocess.run([node, "-e", READER], input=lines, capture_output=True, text=True, check=True)
    places = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(places) == len(asked)
    return [None if p is None or p[3] else Place(p[0], p[1], int(p[2]) if p[2] else None) for p in places]


def cases(how_many: int) -> list[str]:
    """Texts that hypothesis makes up: trusted URLs with something put into them, and anything."""
    texts: list[str] = []
    each = 100  # an example costs far more than a text

    @settings(max_examples=how_many // each, deadline=None, database=None)
    @given(st.randoms(use_true_random=True), st.text(max_size=12))
    def collect(random: object, text: str) -> None:
        texts.extend(random_url(random) for _ in range(each - 3))  # type: ignore[arg-type]  # a random.Random
        texts.extend((text, "/" + text, "https://app.example.com" + text))

    collect()
    return texts


def sendable(text: str) -> bool:
    """A body is UTF-8, so no text from a client has a lone surrogate."""
    return not re.search("[\ud800-\udfff]", text)


@pytest.fixture(scope="module")
def texts(request: pytest.FixtureRequest) -> list[str]:
    full = request.config.getoption("--fuzz") == "full"
    return list(filter(sendable, cases(1_000_000 if full else 10_000)))


def test_a12_every_trusted_target_leads_to_a_trusted_place(texts: list[str]) -> None:
    asked = [(str(base), text) for text in dict.fromkeys(texts) if is_trusted_target(text, PATTERNS) for base in BASES]
    assert sum(is_relative(text) for _, text in asked) > 100
    assert sum(not is_relative(text) for _, text in asked) > 100
    places = read(asked)
    bases = {str(base): base for base in BASES}
    led_astray = [pair for pair, place in zip(asked, places, strict=True) if not is_ours(place, bases[pair[0]])]
    assert led_astray == []


def test_a12_every_origin_is_the_one_that_a_browser_sees(texts: list[str]) -> None:
    origins = [(text, origin) for text in dict.fromkeys(texts) if (origin := origin_of(text)) is not None]
    assert len(origins) > 100
    places = read([(str(BASES[0]), text) for text, _ in origins])
    assert [pair for pair, place in zip(origins, places, strict=True) if str(place) != pair[1]] == []


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("//evil.test", "https://evil.test"),
        ("/\\evil.test", "https://evil.test"),
        ("\\\\evil.test", "https://evil.test"),
        ("///evil.test", "https://evil.test"),
        ("/\t/evil.test", "https://evil.test"),
        ("https:evil.test", "https://app.example.com"),
        ("http:evil.test", "http://evil.test"),
        (" https://evil.test", "https://evil.test"),
        ("myapp://callback/x", "myapp://callback"),
        ("/x", "https://app.example.com"),
    ],
)
def test_the_reader_in_node_is_a_browsers(text: str, place: str) -> None:
    """What the other tests rely on."""
    assert [str(found) for found in read([("https://app.example.com", text)])] == [place]

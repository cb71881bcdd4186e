"""Where we are, whom we trust, where a browser may be sent, and which paths a pattern means."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from urllib.parse import quote, unquote_plus, urlencode, urlsplit

#: Without ASCII the long s and the Kelvin sign fold into ``s`` and ``k``, and full-width digits are digits.
_FLAGS = re.ASCII | re.IGNORECASE
#: Schemes whose URLs have an origin in the sense of the WHATWG URL standard.
_WEB = ("http", "https")
_DEFAULT_PORTS = {"http": 80, "https": 443}
#: What a browser strips, folds to a slash, or reads as the start of a host (SECURITY A2).
_UNREADABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\\]|^\s")
_RELATIVE = re.compile(r"/(?!/)(?:[^?#%]|%(?!2f|5c))*(?:[?#].*)?", _FLAGS)
_AUTHORITY = re.compile(r"(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?", _FLAGS)
_CUSTOM = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<authority>[^/?#\\]*)(?P<path>[^?#\\]*)(?:[?#][^\\]*)?", _FLAGS
)
_CUSTOM_AUTHORITY = re.compile(
    r"(?:[^@\[\]]*@)?(?:[^ :@<>\[\]^|]*|\[(?P<ipv6>[0-9a-f:.]*)\])(?::(?P<port>\d{0,5}))?", _FLAGS
)
_ADDRESS_PATTERN = re.compile(r"(?=.*[0-9])[0-9.*?]+(?::[0-9*?]+)?")
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}(?::\d+)?", re.ASCII)
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*", _FLAGS)
_LONGEST = 2048


def origin_of(url: str) -> str | None:
    """The origin of an http(s) URL in lower case without its default port; ``None`` for anything a browser could
    read differently."""
    if _is_unreadable(url):
        return None
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in _WEB:
        return None
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if not _AUTHORITY.fullmatch(authority):
        return None  # user information, encoded hosts, empty hosts
    host, colon, port = authority.lower().rpartition(":")
    if not colon or authority.endswith("]"):
        host, port = authority.lower(), ""
    if _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]) and not _IPV4.fullmatch(host):
        return None  # RFC 3986 calls it a name, the WHATWG standard a failure or another address
    if port and int(port) > 65535:
        return None
    if host.startswith("[") and not _is_plain_ipv6(host[1:-1]):
        return None
    if port and int(port) != _DEFAULT_PORTS[scheme]:
        return f"{scheme}://{host}:{int(port)}"
    return f"{scheme}://{host}"


def _is_plain_ipv6(text: str) -> bool:
    """Whether an IPv6 address is written as browsers write it."""
    try:
        return str(ipaddress.IPv6Address(text)) == text
    except ValueError:
        return False


def host_matches(host: str, pattern: str) -> bool:
    """Whether a host, with its port where it has one, is the one that was named or fits a pattern with ``*``."""
    return _wildcard(pattern)(host) if "*" in pattern or "?" in pattern else host == pattern.lower()


def is_relative(url: str) -> bool:
    """Whether ``url`` is a path on this server, whoever reads it."""
    return not _is_unreadable(url) and _RELATIVE.fullmatch(url) is not None


def _is_unreadable(url: str) -> bool:
    return len(url) > _LONGEST or _UNREADABLE.search(url) is not None


def _regex(pattern: str) -> str:
    """What a pattern with ``*`` and ``?`` is as a regular expression.

    Whatever stands between two ``*`` is taken where it first occurs, and not looked for again further on: it would be
    of no use, and with many ``*`` never end (SECURITY T6). A group that a lookahead has matched is not tried anew.
    """
    runs = ["".join(r"[^/\\]" if c == "?" else re.escape(c) for c in run) for run in re.split(r"\*+", pattern)]
    first, middle, last = runs[0], runs[1:-1], runs[-1]
    between = "".join(rf"(?=([^/\\]*?{run}))\{number}" for number, run in enumerate(middle, 1))
    return first if len(runs) == 1 else rf"{first}{between}[^/\\]*{last}"


@lru_cache(maxsize=256)
def _wildcard(pattern: str) -> Callable[[str], bool]:
    """A test for texts that ``pattern`` covers; ``*`` and ``?`` never stand for a slash.

    A host pattern of digits alone covers IPv4 addresses alone: ``192.168.*.*`` is no ``192.168.evil.test``
    (SECURITY A7).
    """
    compiled = re.compile(_regex(pattern), _FLAGS)
    address_only = _ADDRESS_PATTERN.fullmatch(pattern.rpartition("://")[2]) is not None

    def covers(text: str) -> bool:
        if address_only and not _IPV4.fullmatch(text.rpartition("://")[2]):
            return False
        return compiled.fullmatch(text) is not None

    return covers


def matches(url: str, pattern: str) -> bool:
    """Whether an absolute URL belongs to a trusted origin.

    Args:
        url: what a client sent.
        pattern: a bare origin, a pattern with ``*`` and ``?``, or a custom scheme with an optional authority and path.
    """
    origin = origin_of(url)
    custom = _custom(url) if origin is None else None
    if "*" not in pattern and "?" not in pattern:
        return pattern == origin if origin else custom is not None and _under(custom, pattern)
    if origin is None and (custom is None or not custom["authority"] or "@" in custom["authority"]):
        return False
    subject = origin or f"{custom['scheme']}://{custom['authority']}" if custom else origin or ""
    if "://" not in pattern:
        return _wildcard(pattern)(subject.partition("://")[2])
    return _wildcard(pattern)(subject if origin or pattern.count("/") == 2 else url)


def _custom(url: str) -> re.Match[str] | None:
    """The parts of a URL with an application's own scheme."""
    if _is_unreadable(url):
        return None
    found = _CUSTOM.fullmatch(url)
    if found is None or found["scheme"].lower() in (*_WEB, *_FOREIGN):
        return None
    authority = _CUSTOM_AUTHORITY.fullmatch(found["authority"])
    if authority is None or int(authority["port"] or 0) > 65535:
        return None  # the WHATWG standard takes it for no URL
    return found if authority["ipv6"] is None or _is_plain_ipv6(authority["ipv6"].lower()) else None


#: Schemes that are no application's own: they run or show what the link holds (SECURITY A4), or browsers know them.
_FOREIGN = ("javascript", "data", "vbscript", "blob", "file", "about", "ftp", "ws", "wss")


def _under(url: re.Match[str], pattern: str) -> bool:
    wanted = _CUSTOM.fullmatch(pattern)
    if wanted is None or url["scheme"].lower() != wanted["scheme"].lower():
        return False
    if not wanted["authority"] and not wanted["path"]:
        return True
    if url["authority"] != wanted["authority"]:
        return False
    prefix, path = _normal_path(wanted["path"]), _normal_path(url["path"])
    return path == prefix or path.startswith(prefix if prefix.endswith("/") else prefix + "/")


def _normal_path(path: str) -> str:
    """``path`` without dot segments (RFC 3986 section 5.2.4), encoded ones included."""
    kept: list[str] = []
    for segment in path.split("/"):
        plain = re.sub("%2e", ".", segment, flags=re.IGNORECASE)
        if plain == "..":
            if len(kept) > 1:
                kept.pop()
        elif plain != ".":
            kept.append(segment)
    return "/".join(kept) or "/"


def is_trusted_origin(origin: str, patterns: tuple[str, ...]) -> bool:
    """Whether a browser on ``origin`` may call: the value of an ``Origin`` or ``Referer`` header."""
    return any(matches(origin, pattern) for pattern in patterns)


def is_trusted_target(url: str, patterns: tuple[str, ...]) -> bool:
    """Whether a browser may be sent to ``url``: a path on this server, or a trusted origin."""
    return is_relative(url) or is_trusted_origin(url, patterns)


def base_origin(url: str) -> str:
    """Scheme, host and port of a configured base URL."""
    parts = urlsplit(url)
    return origin_of(f"{parts.scheme}://{parts.netloc}") or ""


def with_query(url: str, name: str, value: str) -> str:
    """``url`` with one more parameter, in front of its fragment."""
    rest, mark, fragment = url.partition("#")
    return f"{rest}{'&' if '?' in rest else '?'}{urlencode({name: value})}{mark}{fragment}"


def with_params(url: str, params: Mapping[str, str]) -> str:
    """``url`` with parameters, each in place of one of its name that was there; the rest of it stays to the letter.
    A space is ``%20``, for not every provider reads ``+`` as one."""
    rest, mark, fragment = url.partition("#")
    path, _, query = rest.partition("?")
    kept = [pair for pair in query.split("&") if pair and unquote_plus(pair.partition("=")[0]) not in params]
    return f"{path}?{'&'.join((*kept, urlencode(params, quote_via=quote)))}{mark}{fragment}"


# ---------------------------------------------------------------- paths

#: The parts of a pattern: wildcards, and single characters; and the regular expressions for the wildcards.
_PART = re.compile(r"((?:/|^)\*\*$)|((?:(?<=/)|^)\*\*/)|(\*+)|(\?)|.", re.DOTALL)
_REGEX: dict[int | None, str] = {1: ".*", 2: "(?:[^/]*/)*", 3: "[^/]*", 4: "[^/]"}


@lru_cache(maxsize=256)
def path_matcher(pattern: str) -> Callable[[str], bool]:
    """A test for paths that are as ``pattern`` says: ``*`` and ``?`` stay within a segment, ``**`` stands for any
    number of them (rate-limits.json, ``wildcards``). As in the reference, ``/a/**`` fits all that begins with ``/a``.
    """
    if "*" not in pattern:
        return pattern.__eq__
    regex = "".join(_REGEX.get(part.lastindex) or re.escape(part.group()) for part in _PART.finditer(pattern))
    compiled = re.compile(regex, re.DOTALL)
    return lambda path: compiled.fullmatch(path) is not None

"""The one HTTP client of the package: it reaches public hosts only, and every exchange has an end and a size."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from collections.abc import Callable, Collection
from contextlib import closing
from functools import lru_cache, partial
from ipaddress import IPv4Address, IPv6Network, ip_address, ip_network
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_encoding_from_headers

T = TypeVar("T")
_PORTS = {"http": 80, "https": 443}
#: Seconds to find an address that takes the connection.
_CONNECT = 5.0
#: Bytes for what comes with a body: status line, headers, chunk sizes.
_FRAMING = 1 << 16
#: No public host is there: IANA's registries of special addresses, multicast, and tunnels whose other end is anybody's
#: (Teredo, 6to4). Spelt out, for what ``ipaddress`` calls global differs between patch releases of Python.
_SPECIAL = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/3",
            "2001::/23",
            "2001:db8::/32",
            "2002::/16",
            "3fff::/20",
        ),
    )
)
#: All of IPv6 that is given to hosts. The forms that hold an IPv4 address (``::ffff:0:0/96``, ``::/96``) are outside.
_UNICAST = IPv6Network("2000::/3")
#: How a network without IPv4 reaches the hosts that have nothing else (RFC 6052).
_NAT64 = IPv6Network("64:ff9b::/96")


class OutboundError(Exception):
    """An exchange that failed. The text says with whom and why, and holds no path, no query and no token."""


class Origin(NamedTuple):
    """Scheme, host and port of a URL: whom a request goes to."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Origin:
        """The origin of a URL.

        Raises:
            OutboundError: it is none of http or https, or has a user name, behind which a host can hide.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise OutboundError("the URL cannot be read") from None
        if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc:
            raise OutboundError("the URL is none of http or https, or has a user name")
        return cls(parts.scheme, parts.hostname, port or _PORTS[parts.scheme])

    @property
    def name(self) -> str:
        """The host as certificates have it, without the dot that only DNS knows."""
        return self.host.rstrip(".")

    @property
    def authority(self) -> str:
        """The value of the ``Host`` header."""
        name = f"[{self.name}]" if ":" in self.name else self.name
        return name if self.port == _PORTS[self.scheme] else f"{name}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


def is_public(address: str) -> bool:
    """Whether an IP address can be that of a public host, and not one of this machine or of the network around it.

    Args:
        address: as ``getaddrinfo`` has it.
    """
    ip = ip_address(address)
    if ip in _NAT64:
        ip = IPv4Address(int(ip) & 0xFFFFFFFF)
    return (ip.version == 4 or ip in _UNICAST) and not any(ip in network for network in _SPECIAL)


class Outbound(requests.Session):
    """A session for requests to providers, to be used alone or in front of authlib's ``OAuth2Session``.

    Only https to public addresses is let through, to the address that was checked (a second look-up may give another:
    DNS rebinding). A redirect is a failure, and so is an answer that is compressed, too long or too late. The answer
    has been read when it is returned, and the connection is closed. Proxies, client certificates, time-outs and
    ``verify=False`` have no effect; ``verify`` may name a file of authorities. No cookie is kept. The look-up of a name
    counts, but cannot be cut short: how long it may take is set in ``resolv.conf``.

    Args:
        own: URLs that the configuration itself names: their origins may be private, and plain http.
        deadline: seconds for one exchange, from the look-up of the name to the last byte.
        limit: bytes of a body.

    Raises:
        OutboundError: one of ``own`` is no URL.
    """

    def __init__(self, own: Collection[str] = (), *, deadline: float = 10.0, limit: int = 1 << 20) -> None:
        requests.Session.__init__(self)  # as authlib does; whoever inherits from both calls both
        self.trust_env = False  # neither a proxy nor a password of .netrc
        self.adapters.clear()
        self.mount("", _Adapter(frozenset(map(Origin.of, own)), deadline, limit))

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        """Make a request, as in ``requests``.

        Returns:
            The answer, whatever its status, unless that is a redirect.

        Raises:
            OutboundError: there is no answer that can be used.
        """
        try:
            return super().request(method, url, *args, **kwargs)
        except (requests.RequestException, ValueError) as error:  # the latter of URLs that requests cannot prepare
            raise OutboundError(f"no request can be made: {type(error).__name__}") from None


class _Response(requests.Response):
    def raise_for_status(self) -> None:
        """Fail if the status is an error: with no URL in the text, unlike the method of ``requests``."""
        if self.status_code >= 400:
            raise OutboundError(f"{Origin.of(self.url)}: it answered {self.status_code}")


class _Adapter(BaseAdapter):
    """One exchange over ``http.client``: urllib3 resolves names itself, and logs URLs."""

    def __init__(self, own: frozenset[Origin], deadline: float, limit: int) -> None:
        super().__init__()
        self._own, self._deadline, self._limit = own, deadline, limit

    def send(self, request: requests.PreparedRequest, *_: Any, verify: Any = True, **__: Any) -> requests.Response:
        origin = Origin.of(request.url or "")
        try:
            return self._exchange(origin, request, verify if isinstance(verify, str) else DEFAULT_CA_BUNDLE_PATH)
        except (OutboundError, OSError, http.client.HTTPException, ValueError) as error:
            # the original may hold the URL, or what the peer sent
            raise OutboundError(f"{origin}: {_reason(error)}") from None

    def close(self) -> None:
        """Nothing is open between two exchanges."""

    def _exchange(self, origin: Origin, request: requests.PreparedRequest, authorities: str) -> requests.Response:
        own, end = origin in self._own, time.monotonic() + self._deadline
        if origin.scheme != "https" and not own:
            raise OutboundError("it is not https")
        with closing(_connect(origin, own, end)) as sock:
            wire = _Wire(sock, end, self._limit + _FRAMING)
            if origin.scheme == "https":
                wire.start_tls(_tls(authorities), origin.name)
            connection = http.client.HTTPConnection(origin.host)
            connection.auto_open = 0  # no connection but this one
            connection.sock = wire
            headers = request.headers.copy()
            headers.update({"Host": origin.authority, "Accept-Encoding": "identity", "Connection": "close"})
            body = request.body.encode() if isinstance(request.body, str) else request.body
            connection.request(request.method or "GET", request.path_url, body, headers)
            with connection.getresponse() as answer:
                return _response(request, answer, self._read(answer))

    def _read(self, answer: http.client.HTTPResponse) -> bytes:
        if answer.status // 100 in (1, 3):
            raise OutboundError(f"it answered {answer.status}")
        if answer.getheader("Content-Encoding", "identity").lower() != "identity":
            raise OutboundError("the answer is compressed")  # a bomb, for no encoding was asked for
        body = answer.read(self._limit + 1)
        if len(body) > self._limit:
            raise OutboundError("the answer is too long")
        if answer.length:  # http.client tells of it only where all is read at once
            raise OutboundError("the answer broke off")
        return body


def _response(request: requests.PreparedRequest, answer: http.client.HTTPResponse, body: bytes) -> requests.Response:
    response = _Response()
    response.status_code, response.reason = answer.status, answer.reason
    response.headers = CaseInsensitiveDict(answer.getheaders())
    # or else ``text`` guesses, which takes long
    response.encoding = get_encoding_from_headers(response.headers) or "utf-8"
    response.request, response.url = request, request.url or ""
    response.raw = io.BytesIO(body)
    return response


def _connect(origin: Origin, own: bool, end: float) -> socket.socket:
    found = socket.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    # one private address among public ones is a mistake or an attack: it shall not depend on which of them answers
    if not own and not all(is_public(str(address[0])) for *_, address in found):
        raise OutboundError("its address is not public")
    end = min(end, time.monotonic() + _CONNECT)
    failure: OSError = TimeoutError()
    for tried, (family, kind, protocol, _, address) in enumerate(found):
        left = end - time.monotonic()
        if left <= 0:
            break
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(left / (len(found) - tried))  # one that is silent leaves time for the others
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # http.client sends headers and body apart
            return sock
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:  # such as gevent's Timeout
            sock.close()
            raise
    raise failure


class _Wire(io.RawIOBase):
    """What ``http.client`` takes for its socket. It ends at a moment, and after so many bytes.

    A time-out alone starts anew with each byte, so that a peer who sends one now and then holds a worker for ever; here
    each wait is for what is left. TLS goes through memory, so that this holds for the handshake too: gevent's
    ``SSLSocket`` waits the whole time-out for each of its steps.

    Args:
        sock: connected.
        end: the moment, on the monotonic clock.
        room: bytes that may come. ``http.client`` has bounds of its own, but reads a chunk of size -1 to its end.
    """

    def __init__(self, sock: socket.socket, end: float, room: int) -> None:
        super().__init__()
        self._sock, self._end, self._room = sock, end, room
        self._tls: ssl.SSLObject | None = None
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()

    def start_tls(self, context: ssl.SSLContext, name: str) -> None:
        """Shake hands with a peer who proves to have that name."""
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=name)
        self._through(self._tls.do_handshake)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._tls is None:
            count = self._in_time().recv_into(buffer)
        else:
            data = self._through(partial(self._tls.read, len(buffer)))
            count = len(data)
            buffer[:count] = data
        self._room -= count
        if self._room < 0:
            raise OutboundError("the answer is too long")
        return count

    def sendall(self, data: bytes) -> None:
        if self._tls is None:
            self._in_time().sendall(data)
            return
        view = memoryview(data)
        while view:
            view = view[self._through(partial(self._tls.write, view)) :]

    def close(self) -> None:
        """Left to the owner of the socket: ``http.client`` closes its connection before it reads the body."""

    def _in_time(self) -> socket.socket:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        return self._sock

    def _through(self, act: Callable[[], T]) -> T:
        """The result of ``act`` on the TLS side, once the peer has sent what it needs."""
        while True:
            try:
                result = act()
            except ssl.SSLWantReadError:
                self._flush()
                received = self._in_time().recv(1 << 14)
                if received:
                    self._in.write(received)
                else:
                    self._in.write_eof()
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        if data := self._out.read():
            self._in_time().sendall(data)


@lru_cache(maxsize=8)
def _tls(authorities: str) -> ssl.SSLContext:
    """Reading the authorities takes longer than an exchange. A context may be shared, also by forked workers."""
    context = ssl.create_default_context(cafile=authorities)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _reason(error: Exception) -> str:
    if isinstance(error, OutboundError):
        return str(error)
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(getattr(error, "verify_message", "") or getattr(error, "strerror", "") or type(error).__name__)

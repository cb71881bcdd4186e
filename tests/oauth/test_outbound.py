"""SECURITY J9, R2, R9: where requests to providers may go, and when they end. Nothing here leaves the loopback."""

from __future__ import annotations

import gzip
import ipaddress
import json
import pickle
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from authlib.integrations.requests_client import OAuth2Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from flask_better_auth.oauth import outbound
from flask_better_auth.oauth.outbound import Origin, Outbound, OutboundError, is_public

NAME = "provider.test"
SECRET = "s3cret-token"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n" + b'{"ok": true}'
#: What a test with a peer that never ends waits for, and what the machine may need besides.
DEADLINE, MORE = 0.15, 1.5

Reply = Callable[[socket.socket, bytes], object]


def says(answer: bytes) -> Reply:
    return lambda connection, request: connection.sendall(answer)


def drips(first: bytes, drop: bytes = b"x") -> Reply:
    """Sends a byte now and then, each well before a time-out for one byte would be over."""

    def reply(connection: socket.socket, request: bytes) -> None:
        connection.sendall(first)
        while True:
            time.sleep(DEADLINE / 10)
            connection.sendall(drop)

    return reply


def silent(connection: socket.socket, request: bytes) -> None:
    while connection.recv(4096):
        pass


class Peer:
    """A server on a loopback address that answers each connection with whatever bytes a test likes."""

    def __init__(self, reply: Reply, tls: ssl.SSLContext | None, address: str, greets: bool) -> None:
        self.requests: list[bytes] = []
        self.names: list[str | None] = []
        self._reply, self._tls, self._greets = reply, tls, greets
        if tls is not None:
            tls.sni_callback = lambda _, name, __: self.names.append(name)
        self.listener = socket.create_server((address, 0))
        self.port = self.listener.getsockname()[1]
        self.origin = f"http://{address}:{self.port}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(10)
                try:
                    self._answer(connection)
                except OSError:
                    continue

    def _answer(self, connection: socket.socket) -> None:
        if self._greets:
            self._reply(connection, b"")
            return
        if self._tls is not None:
            connection = self._tls.wrap_socket(connection, server_side=True)
        with connection:
            request = b""
            while b"\r\n\r\n" not in request:
                received = connection.recv(4096)
                if not received:
                    return
                request += received
            head, _, body = request.partition(b"\r\n\r\n")
            length = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-l")]
            while length and len(body) < length[0]:
                body += connection.recv(4096)
            self.requests.append(head + b"\r\n\r\n" + body)
            self._reply(connection, self.requests[-1])

    def header(self, name: str) -> str | None:
        lines = self.requests[-1].partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
        return {key.lower(): value for key, value in (line.split(": ", 1) for line in lines)}.get(name)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self._thread.join()


@contextmanager
def peer(
    reply: Reply, tls: ssl.SSLContext | None = None, *, address: str = "127.0.0.1", greets: bool = False
) -> Iterator[Peer]:
    server = Peer(reply, tls, address, greets)
    try:
        yield server
    finally:
        server.close()


class Resolver:
    """The names of a test, each with the answers that it gives in turn; numbers go to the real look-up."""

    def __init__(self, real: Callable[..., Any]) -> None:
        self._real = real
        self.answers: dict[str, list[list[str]]] = {}
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        self.asked.append(host)
        if host in self.answers:
            answers = self.answers[host]
            addresses = answers.pop(0) if len(answers) > 1 else answers[0]
            return [found for address in addresses for found in self._real(address, port, *args, **kwargs)]
        if host.rstrip(".") == "localhost" or host[:1].isdigit() or ":" in host:
            return self._real(host, port, *args, **kwargs)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    resolver = Resolver(socket.getaddrinfo)
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    return resolver


@pytest.fixture(autouse=True)
def connected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that something was connected to; none but the loopback can be."""
    found: list[str] = []
    real = socket.socket.connect

    def connect(sock: socket.socket, address: Any) -> None:
        found.append(address[0])
        assert ipaddress.ip_address(address[0]).is_loopback
        real(sock, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    return found


@pytest.fixture
def _loopback_is_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """127.0.0.1 stands for a public host, 127.66.0.0/16 and all the rest is as it is."""
    networks = [network for network in outbound._SPECIAL if str(network) != "127.0.0.0/8"]
    monkeypatch.setattr(outbound, "_SPECIAL", (*networks, ipaddress.ip_network("127.66.0.0/16")))


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ssl.SSLContext]:
    """The file of a certificate authority, and a server with its certificate for provider.test."""
    folder = tmp_path_factory.mktemp("authority")
    now = datetime.now(timezone.utc)
    keys = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])

    def certificate(name: str, key: Any, *, ca: bool) -> x509.Certificate:
        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"), False
        )
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(digital_signature=True, key_cert_sign=ca, crl_sign=ca, decipher_only=False, **usage),
                critical=True,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[0].public_key()), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(keys[0], hashes.SHA256())
        )

    (folder / "ca.pem").write_bytes(certificate("authority", keys[0], ca=True).public_bytes(Encoding.PEM))
    (folder / "server.pem").write_bytes(
        keys[1].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + certificate(NAME, keys[1], ca=False).public_bytes(Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return str(folder / "ca.pem"), context


def failure(url: str, own: tuple[str, ...] = (), **options: Any) -> str:
    """Why a request fails, which must say nothing of the query and must not take long."""
    verify = options.pop("verify", None)
    begun = time.monotonic()
    with Outbound(own, **options) as session, pytest.raises(OutboundError) as caught:
        session.get(url, params={"access_token": SECRET}, verify=verify)
    assert time.monotonic() - begun < options.get("deadline", 0) + MORE
    assert SECRET not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return str(caught.value)


# --- what comes back


def test_an_answer_is_returned_with_its_body() -> None:
    with peer(says(OK)) as server, Outbound([server.origin]) as session:
        answer = session.get(f"{server.origin}/userinfo", params={"a": "b c"}, headers={"Authorization": "Bearer x"})
    assert (answer.status_code, answer.json(), answer.text) == (200, {"ok": True}, '{"ok": true}')
    assert answer.headers["content-type"] == "application/json"
    assert server.requests[0].startswith(b"GET /userinfo?a=b+c HTTP/1.1\r\n")
    assert server.header("authorization") == "Bearer x"


@pytest.mark.parametrize("status", [201, 400, 401, 404, 429, 500, 503])
def test_a_status_is_no_failure_until_it_is_asked_for(status: int) -> None:
    with peer(says(b"HTTP/1.1 %d Whatever\r\nContent-Length: 2\r\n\r\nno" % status)) as server:
        answer = Outbound([server.origin]).get(f"{server.origin}/?access_token={SECRET}")
    assert (answer.status_code, answer.reason, answer.content) == (status, "Whatever", b"no")
    if status < 400:
        answer.raise_for_status()
    else:
        with pytest.raises(OutboundError, match=rf"^{server.origin}: it answered {status}$"):
            answer.raise_for_status()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 200 OK\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Length: 4\r\n\r\nbodyandmore",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
    ],
)
def test_every_way_to_end_a_body_is_understood(answer: bytes) -> None:
    with peer(says(answer)) as server:
        assert Outbound([server.origin]).get(server.origin).content == b"body"


def test_forms_json_and_head_are_sent() -> None:
    with peer(says(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as server, Outbound([server.origin]) as session:
        session.post(server.origin, data={"code": "ä&b"})
        assert server.requests[-1].endswith(b"\r\n\r\ncode=%C3%A4%26b")
        session.post(server.origin, data="ä")
        assert server.requests[-1].endswith(b"\r\n\r\n\xc3\xa4")
        session.post(server.origin, json={"a": 1})
        assert json.loads(server.requests[-1].partition(b"\r\n\r\n")[2]) == {"a": 1}
        assert session.head(server.origin).content == b""


# --- where it may go (R2)

PRIVATE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:7f00:1",
    "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1",
    "::127.0.0.1",
    "::8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::8.8.8.8",
    "100::1",
    "2001::1",
    "2001:10::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%1",
    "fec0::1",
    "ff02::1",
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "100.128.0.1", "172.32.0.1", "192.0.1.1", "2606:4700::1111", "64:ff9b::8.8.8.8"]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_refused(names: Resolver, connected: list[str], address: str) -> None:
    assert not is_public(address)
    names.answers[NAME] = [[address]]
    assert failure(f"https://{NAME}/") == f"https://{NAME}: its address is not public"
    literal = f"[{address}]" if ":" in address else address
    if "%" not in address:
        assert failure(f"https://{literal}/").endswith("its address is not public")
    assert connected == []


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_a_public_host_is_known(address: str) -> None:
    assert is_public(address)


def test_no_address_is_public_that_python_calls_private() -> None:
    for number in range(0, 1 << 32, 1_000_003):
        address = ipaddress.IPv4Address(number)
        if is_public(str(address)):
            assert address.is_global
            assert not address.is_multicast


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "127.1",
        "0",
        "localhost",
        "localhost.",
        "LOCALHOST",
        "%6c%6f%63alhost",
        "[::ffff:127.0.0.1]",
        "[::1%25lo]",
        "①②⑦.0.0.1",
        "127。0。0。1",
        "nobody.test",
        "a..b",
        "x" * 70 + ".test",
        "127.0.0.1\\@8.8.8.8",
        "8.8.8.8:99999",
        "8.8.8.8:x",
        "[8.8.8.8",
        "",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_odd_spellings_reach_nothing(connected: list[str], scheme: str, host: str) -> None:
    failure(f"{scheme}://{host}/")
    assert connected == []


@pytest.mark.parametrize(
    "url",
    [
        "ftp://8.8.8.8/",
        "file:///etc/passwd",
        "mailto:a@b",
        "//8.8.8.8/",
        "/path",
        "javascript:1",
        "//:[",
        "https://²@ä/",
    ],
)
def test_other_urls_reach_nothing(connected: list[str], url: str) -> None:
    failure(url)
    assert connected == []


@pytest.mark.parametrize("user", ["user@", "user:password@", ":@", "a%40b@"])
def test_a_user_name_in_a_url_is_refused(names: Resolver, user: str) -> None:
    with peer(says(OK)) as server:
        assert "password" not in failure(f"http://{user}127.0.0.1:{server.port}/", (server.origin,))
    assert names.asked == []


def test_plain_http_is_refused_before_anything_is_asked(names: Resolver) -> None:
    assert failure("http://provider.test:8080/") == "http://provider.test:8080: it is not https"
    assert names.asked == []


def test_one_private_address_among_public_ones_refuses_all(names: Resolver, connected: list[str]) -> None:
    names.answers[NAME] = [["8.8.8.8", "10.0.0.1"]]
    assert failure(f"https://{NAME}/").endswith("its address is not public")
    assert connected == []


def test_own_origins_alone_may_be_private(names: Resolver) -> None:
    names.answers["idp.internal"] = [["127.0.0.1"]]
    with peer(says(OK)) as server:
        own = f"http://IDP.internal:{server.port}/realm/.well-known"
        assert Outbound([own]).get(f"http://idp.internal:{server.port}/token").ok
        assert "not https" in failure(f"http://127.0.0.1:{server.port}/", (own,))
        assert "not https" in failure(f"http://idp.internal.:{server.port}/", (own,))
        assert "not public" in failure(f"https://idp.internal:{server.port}/", (own,))
    with pytest.raises(OutboundError, match="the URL is none of http or https"):
        Outbound(["idp.internal"])


def test_origins_are_equal_whatever_their_spelling() -> None:
    assert Origin.of("https://Provider.test/a?b#c") == Origin.of("HTTPS://provider.test:443") == ("https", NAME, 443)
    assert str(Origin.of("http://[::1]:80/x")) == "http://[::1]"
    assert str(Origin.of("https://a.test.:80")) == "https://a.test:80"


@pytest.mark.usefixtures("_loopback_is_public")
def test_a_name_is_looked_up_once(names: Resolver, connected: list[str], authority: tuple[str, ssl.SSLContext]) -> None:
    names.answers[NAME] = [["127.0.0.1"], ["127.66.0.1"]]
    with peer(says(OK), authority[1]) as server:
        url = f"https://{NAME}:{server.port}/"
        assert Outbound().get(url, verify=authority[0]).ok
        assert (names.asked, connected) == ([NAME], ["127.0.0.1"])
        assert "not public" in failure(url, verify=authority[0])
    assert connected == ["127.0.0.1"]


def test_the_next_address_is_tried(names: Resolver, connected: list[str]) -> None:
    names.answers[NAME] = [["127.0.0.2", "127.0.0.1"]]
    with peer(says(OK)) as server:
        own = f"http://{NAME}:{server.port}"
        assert Outbound([own]).get(own).ok
    assert connected == ["127.0.0.2", "127.0.0.1"]
    assert failure(own, (own,)) == f"{own}: Connection refused"


# --- TLS


@pytest.mark.usefixtures("_loopback_is_public")
@pytest.mark.parametrize("host", [NAME, NAME.upper(), f"{NAME}."])
def test_the_peer_is_asked_for_the_name(names: Resolver, authority: tuple[str, ssl.SSLContext], host: str) -> None:
    names.answers = {name: [["127.0.0.1"]] for name in (NAME, f"{NAME}.")}
    with peer(says(OK), authority[1]) as server, Outbound() as session:
        answer = session.post(f"https://{host}:{server.port}/", data="x" * 100_000, verify=authority[0])
        assert answer.json() == {"ok": True}
        assert server.names == [NAME]
        assert server.header("host") == f"{NAME}:{server.port}"
        assert server.requests[0].endswith(b"x" * 100_000)


@pytest.mark.usefixtures("_loopback_is_public")
@pytest.mark.parametrize("own", [True, False])
def test_a_certificate_for_another_name_is_refused(
    names: Resolver, authority: tuple[str, ssl.SSLContext], own: bool
) -> None:
    names.answers = {"other.test": [["127.0.0.1"]]}
    with peer(says(OK), authority[1]) as server:
        url = f"https://other.test:{server.port}"
        reason = failure(url, (url,) if own else (), verify=authority[0])
        assert reason == f"{url}: Hostname mismatch, certificate is not valid for 'other.test'."
        url = f"https://127.0.0.1:{server.port}"
        assert "IP address mismatch" in failure(url, (url,) if own else (), verify=authority[0])
    assert server.requests == []


@pytest.mark.parametrize("verify", [None, True, False])
def test_an_unknown_authority_is_refused_whatever_the_caller_says(
    names: Resolver, authority: tuple[str, ssl.SSLContext], verify: bool | None
) -> None:
    names.answers[NAME] = [["127.0.0.1"]]
    with peer(says(OK), authority[1]) as server:
        url = f"https://{NAME}:{server.port}"
        assert "unable to get local issuer certificate" in failure(url, (url,), verify=verify)
        session = Outbound([url])
        session.verify = False
        with pytest.raises(OutboundError):
            session.get(url)
    assert server.requests == []


def test_a_peer_without_tls_is_refused() -> None:
    with peer(says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), greets=True) as server:
        url = f"https://127.0.0.1:{server.port}"
        assert failure(url, (url,)).startswith(f"{url}: [SSL")
        assert failure(url, (url,), verify="/nowhere.pem") == f"{url}: No such file or directory"


def test_a_body_that_breaks_off_under_tls_is_refused(names: Resolver, authority: tuple[str, ssl.SSLContext]) -> None:
    names.answers[NAME] = [["127.0.0.1"]]
    answer = b"HTTP/1.1 200 OK\r\n\r\naccess_token=abc"
    with peer(says(answer), authority[1]) as server:  # closes without TLS's close_notify (RFC 9112 section 9.8)
        url = f"https://{NAME}:{server.port}"
        assert "EOF" in failure(url, (url,), verify=authority[0])


def test_the_authorities_are_read_once() -> None:
    outbound._tls.cache_clear()
    with peer(says(b"nonsense"), greets=True) as server:
        url = f"https://127.0.0.1:{server.port}"
        for _ in range(2):
            failure(url, (url,))
    assert outbound._tls.cache_info().misses == 1


# --- redirects, sizes, encodings (J9)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
@pytest.mark.parametrize("follow", [True, False])
def test_no_redirect_is_followed(connected: list[str], status: int, follow: bool) -> None:
    answer = b"HTTP/1.1 %d X\r\nLocation: http://169.254.169.254/?t=%s\r\nContent-Length: 0\r\n\r\n"
    with peer(says(answer % (status, SECRET.encode()))) as server, Outbound([server.origin]) as session:
        with pytest.raises(OutboundError, match=rf"^{server.origin}: it answered {status}$"):
            session.post(server.origin, data={"code": "x"}, allow_redirects=follow)
    assert (connected, len(server.requests)) == (["127.0.0.1"], 1)


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 10000000\r\n\r\n",
        b"Content-Length: 99999999999999999999\r\n\r\n",
        b"Content-Length: -1\r\n\r\n",
        b"\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n989680\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 1_000_000,
        b"X: " + b"x" * 60_000 + b"\r\nY: " + b"y" * 60_000 + b"\r\n\r\n",
        b"X: y\r\n" * 200_000 + b"\r\n",
    ],
)
def test_an_answer_that_is_too_long_is_not_read(head: bytes) -> None:
    with peer(says(b"HTTP/1.1 200 OK\r\n" + head + b"x" * 10_000_000)) as server:
        failure(server.origin, (server.origin,))


def test_endless_informational_answers_are_not_read() -> None:
    with peer(drips(b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000)) as server:
        assert failure(server.origin, (server.origin,)).endswith("the answer is too long")
    with peer(says(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK)) as server:
        assert failure(server.origin, (server.origin,)).endswith("it answered 103")


@pytest.mark.parametrize("length", [True, False])
def test_the_limit_is_exact(length: bool) -> None:
    for size in (1000, 1001):
        head = b"Content-Length: %d\r\n\r\n" % size if length else b"\r\n"
        with peer(says(b"HTTP/1.1 200 OK\r\n" + head + b"x" * size)) as server:
            if size == 1000:
                assert len(Outbound([server.origin], limit=1000).get(server.origin).content) == 1000
            else:
                assert failure(server.origin, (server.origin,), limit=1000).endswith("the answer is too long")


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "GZIP", "identity, gzip", "x"])
def test_a_compressed_answer_is_refused(encoding: str) -> None:
    bomb = gzip.compress(b"0" * 20_000_000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(bomb)}\r\n\r\n"
    with peer(says(head.encode() + bomb)) as server:
        assert failure(server.origin, (server.origin,)).endswith("the answer is compressed")
        assert server.header("accept-encoding") == "identity"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", "the answer broke off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nx", "IncompleteRead"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nx", "IncompleteRead"),
        (b"", "RemoteDisconnected"),
        (b"HTTP/1.1 " + SECRET.encode() + b" OK\r\n\r\n", "BadStatusLine"),
        (SECRET.encode() + b"\r\n", "BadStatusLine"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, "LineTooLong"),
    ],
)
def test_a_broken_answer_is_a_failure(answer: bytes, reason: str) -> None:
    with peer(says(answer)) as server:
        assert failure(server.origin, (server.origin,)) == f"{server.origin}: {reason}"


# --- the end of an exchange (J9, R9)


@pytest.mark.parametrize(
    "reply",
    [
        silent,
        drips(b""),
        drips(b"HTTP/1.1 200 OK\r\nX: "),
        drips(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        drips(b"HTTP/1.1 100 Continue\r\n", b"\r\nHTTP/1.1 100 Continue\r\n"),
        drips(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"),
        drips(b"HTTP/1.1 200 OK\r\n\r\n"),
        drips(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
)
@pytest.mark.parametrize("tls", [True, False])
def test_an_exchange_ends_at_its_deadline(
    names: Resolver, authority: tuple[str, ssl.SSLContext], reply: Reply, tls: bool
) -> None:
    names.answers[NAME] = [["127.0.0.1"]]
    with peer(reply, authority[1] if tls else None) as server:
        url = f"http{'s' * tls}://{NAME}:{server.port}"
        reason = failure(url, (url,), deadline=DEADLINE, verify=authority[0])
        assert reason == f"{url}: no answer in time"


@pytest.mark.parametrize("first", [b"", b"\x16\x03\x03\x40\x00"])
def test_a_handshake_ends_at_the_deadline(first: bytes) -> None:
    with peer(drips(first) if first else silent, greets=True) as server:
        url = f"https://127.0.0.1:{server.port}"
        assert failure(url, (url,), deadline=DEADLINE).endswith("no answer in time")


def test_a_peer_that_does_not_read_is_left_at_the_deadline() -> None:
    def stops(connection: socket.socket, _: bytes) -> None:
        time.sleep(2 * DEADLINE)

    with peer(stops, greets=True) as server, Outbound([server.origin], deadline=DEADLINE) as session:
        with pytest.raises(OutboundError, match="no answer in time"):
            session.post(server.origin, data=b"x" * 20_000_000)


def test_connecting_has_an_end_of_its_own(names: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "_CONNECT", DEADLINE)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.socket() as first:
        first.connect(full.getsockname())  # the queue holds no other
        names.answers[NAME] = [["127.0.0.1", "127.0.0.1"]]
        origin = f"http://{NAME}:{full.getsockname()[1]}"
        assert failure(origin, (origin,)) == f"{origin}: no answer in time"


def test_the_look_up_counts(names: Resolver, monkeypatch: pytest.MonkeyPatch, connected: list[str]) -> None:
    def slow(*args: Any, **kwargs: Any) -> Any:
        time.sleep(DEADLINE)
        return names(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    assert failure("http://127.0.0.1:9", ("http://127.0.0.1:9",), deadline=DEADLINE).endswith("no answer in time")
    assert connected == []


def test_under_gevent_exchanges_end_and_let_each_other_run() -> None:
    script = """
from gevent import monkey; monkey.patch_all()
import gevent, socket, time
from flask_better_auth.oauth.outbound import Outbound, OutboundError

def serve(first, listener):
    def drip(connection):
        try:
            while True:
                connection.sendall(first or b"x")
                gevent.sleep(.03)
        except OSError:
            connection.close()
    while True:
        gevent.spawn(drip, listener.accept()[0])

def ask(scheme, first):
    listener = socket.create_server(("127.0.0.1", 0))
    gevent.spawn(serve, first, listener)
    url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
    try:
        Outbound([url], deadline=.3).get(url)
    except OutboundError as error:
        return str(error).partition(": ")[2]

begun = time.monotonic()
jobs = [gevent.spawn(ask, *what) for what in [("http", b"x"), ("https", b"\\x16"), ("https", b"\\x16\\x03\\x03")]]
gevent.joinall(jobs)
print(jobs[0].value, round(time.monotonic() - begun) < 2)
print(*[job.value == "no answer in time" or "SSL" in job.value for job in jobs])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)
    assert done.stdout == "no answer in time True\nTrue True True\n", done.stderr


# --- what is kept and what is believed


def test_each_exchange_has_its_connection(connected: list[str]) -> None:
    with peer(says(OK)) as server, Outbound([server.origin]) as session:
        for _ in range(2):
            session.get(server.origin)
            assert server.header("connection") == "close"
    assert connected == ["127.0.0.1"] * 2


def test_no_cookie_is_kept() -> None:
    with peer(says(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n")) as server:
        session = Outbound([server.origin])
        session.get(server.origin)
        session.get(server.origin)
        assert server.header("cookie") is None


def test_the_environment_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: Resolver, authority: tuple[str, ssl.SSLContext]
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    names.answers[NAME] = [["127.0.0.1"]]
    with peer(says(OK)) as proxy, peer(says(OK)) as server, peer(says(OK), authority[1]) as secure:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.origin)
            monkeypatch.setenv(name.upper(), proxy.origin)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", authority[0])
        monkeypatch.setenv("CURL_CA_BUNDLE", authority[0])
        session = Outbound([server.origin])
        assert session.get(server.origin).ok
        assert session.get(server.origin, proxies={"http": proxy.origin}).ok
        assert server.header("authorization") is None
        url = f"https://{NAME}:{secure.port}"
        assert "unable to get local issuer certificate" in failure(url, (url,))
    assert proxy.requests == []


def test_headers_that_steer_the_exchange_are_ours() -> None:
    with peer(says(OK)) as server:
        headers = {"hOST": "evil.test", "accept-encoding": "gzip", "Connection": "keep-alive"}
        Outbound([server.origin]).get(server.origin, headers=headers)
        assert server.requests[0].lower().count(b"host:") == 1
        assert server.header("host") == f"127.0.0.1:{server.port}"
        assert (server.header("accept-encoding"), server.header("connection")) == ("identity", "close")


@pytest.mark.parametrize("headers", [{"X": "a\r\nY: b"}, {"X\n": "a"}, {"X": f"{SECRET}\n"}])
def test_a_header_that_is_none_is_a_failure(headers: dict[str, str]) -> None:
    with peer(says(OK)) as server:
        with pytest.raises(OutboundError) as caught:
            Outbound([server.origin]).get(server.origin, headers=headers)
    assert SECRET not in str(caught.value)
    assert server.requests == []


def test_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with peer(says(b"HTTP/1.1 200 OK\r\nno header\r\n\r\n")) as server:
        Outbound([server.origin]).get(server.origin, params={"access_token": SECRET})
    assert caplog.records == []


def test_a_failure_can_be_handed_on() -> None:
    assert str(pickle.loads(pickle.dumps(OutboundError("why")))) == "why"


# --- with authlib


class OAuth2(Outbound, OAuth2Session):
    def __init__(self, own: list[str], **options: Any) -> None:
        OAuth2Session.__init__(self, "client", "secret", **options)
        Outbound.__init__(self, own, deadline=DEADLINE)


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
def test_authlib_fetches_and_refreshes_tokens(method: str) -> None:
    token = json.dumps({"access_token": "a", "refresh_token": "r", "token_type": "Bearer", "expires_in": 3600}).encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(token) + token
    with peer(says(answer)) as server, OAuth2([server.origin], token_endpoint_auth_method=method) as session:
        assert session.fetch_token(server.origin, code="c", code_verifier="v")["access_token"] == "a"
        form = parse_qs(server.requests[-1].partition(b"\r\n\r\n")[2].decode())
        assert (form["grant_type"], form["code"], form["code_verifier"]) == (["authorization_code"], ["c"], ["v"])
        assert (server.header("authorization") or "").startswith("Basic ") == (method == "client_secret_basic")
        assert ("client_secret" in form) == (method == "client_secret_post")
        assert session.refresh_token(server.origin, "r")["access_token"] == "a"
        assert b"grant_type=refresh_token" in server.requests[-1]
        session.get(server.origin)
        assert server.header("authorization") == "Bearer a"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (drips(b"HTTP/1.1 200 OK\r\n\r\n"), "no answer in time"),
        (says(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n\r\n"), "it answered 302"),
        (says(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"), "it answered 502"),
    ],
)
def test_authlib_meets_the_same_failures(reply: Reply, reason: str) -> None:
    with peer(reply) as server, OAuth2([server.origin]) as session:
        with pytest.raises(OutboundError, match=f"^{server.origin}: {reason}$"):
            session.fetch_token(server.origin, code="c")
        with pytest.raises(OutboundError, match="its address is not public"):
            session.refresh_token("https://169.254.169.254/", "r")

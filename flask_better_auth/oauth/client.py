"""Asks a provider over HTTP: for tokens, profiles, keys and its discovery document."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from .. import clock, wire
from .provider import ProviderError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from joserfc.jwk import KeySet

#: How long a document of a provider counts, how soon it is asked for again for a key that is not in it, and how long
#: it still counts while the provider is away (SECURITY section 4).
_FRESH, _AGAIN, _STALE = timedelta(minutes=10), timedelta(seconds=30), timedelta(hours=24)


class Client:
    """What asks one provider for one application. It keeps documents of the provider, and no connections.

    Args:
        own: origins that the configuration names; they may be in a private network, and others must not.
        hardening: the application wants what is refused beyond the reference.
    """

    def __init__(self, own: Iterable[str], *, hardening: bool = True) -> None:
        self._own, self.hardening = tuple(own), hardening
        self._documents: dict[str, tuple[datetime, Mapping[str, Any]]] = {}

    def json(
        self,
        method: str,
        url: str,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        body: object = None,
    ) -> Any:
        """The JSON that a request is answered with.

        Args:
            method: GET or POST.
            url: where to.
            token: a bearer token (RFC 6750).
            headers: further ones.
            form: a body in the form of a form.
            body: a body in JSON.

        Raises:
            ProviderError: anything but a success with JSON.
        """
        return _parsed(self.content(method, url, token=token, headers=headers, form=form, body=body))

    def content(
        self,
        method: str,
        url: str,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        body: object = None,
    ) -> bytes:
        """The bytes that a request is answered with; see ``json``."""
        from .outbound import Outbound

        sent = {"Accept": "application/json", **(headers or {})}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        with _failing(), Outbound(own=self._own) as session:
            answer = session.request(method, url, headers=sent, data=form, json=body)
        if not 200 <= answer.status_code < 300:
            raise ProviderError(f"the provider answered {answer.status_code}")
        return answer.content

    def tokens(
        self,
        url: str,
        ask: Callable[[Any], Any],
        *,
        client_id: str,
        client_secret: str | None,
        auth: Any,
    ) -> Mapping[str, Any]:
        """What a token endpoint answers (RFC 6749 section 5).

        Args:
            url: the endpoint.
            ask: called with authlib's ``OAuth2Session``, makes the request.
            client_id, client_secret: ours.
            auth: the name of a way to authenticate, or a function as authlib takes one.

        Raises:
            ProviderError: it does not answer with an access token or an ID token.
        """
        from .session import OAuth2

        if auth == "client_secret_basic":  # both parts are encoded before they are joined (RFC 6749 section 2.3.1)
            client_id, client_secret = quote_plus(client_id), quote_plus(client_secret or "")
        with _failing(), OAuth2(self._own, client_id, client_secret, auth) as session:
            answer: Mapping[str, Any] = ask(session)
        if not isinstance(answer, Mapping) or not (answer.get("access_token") or answer.get("id_token")):
            raise ProviderError("the token endpoint gave no token")
        return answer

    def document(
        self, url: str, check: Callable[[Mapping[str, Any]], object], *, headers: Mapping[str, str] | None = None
    ) -> Mapping[str, Any]:
        """A JSON object that changes seldom, for example a discovery document.

        Args:
            url: where it is.
            check: raises a ``ProviderError`` for one that is none, so that it takes the place of no other.
            headers: to be sent there.

        Raises:
            ProviderError: it is not to be had, and was not within the last day.
        """
        return self._kept(url, check, _FRESH, headers)

    def keys(self, url: str, kid: str | None, *, headers: Mapping[str, str] | None = None) -> KeySet:
        """The keys at a JWKS endpoint (RFC 7517); asked for again if ``kid`` is none of theirs.

        Raises:
            ProviderError: they are not to be had.
        """
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        document = self._kept(url, _are_keys, _FRESH, headers)
        if kid is not None and kid not in [key.get("kid") for key in document["keys"]]:
            document = self._kept(url, _are_keys, _AGAIN, headers)
        found = KeySet([])
        for key in document["keys"]:
            try:
                found.keys.extend(KeySet.import_key_set({"keys": [key]}).keys)
            except (JoseError, ValueError, TypeError, AttributeError, KeyError):
                continue  # a key of a kind that we do not know; another one may be meant
        return found

    def _kept(
        self,
        url: str,
        check: Callable[[Mapping[str, Any]], object],
        fresh: timedelta,
        headers: Mapping[str, str] | None,
    ) -> Mapping[str, Any]:
        kept, now = self._documents.get(url), clock.now()
        if kept is not None and now - kept[0] < fresh:
            return kept[1]
        try:
            document = self.json("GET", url, headers=headers)
            if not isinstance(document, Mapping):
                raise ProviderError("the document of the provider is no object")
            check(document)
        except ProviderError:
            if kept is None or now - kept[0] > _STALE:
                raise
            return kept[1]
        self._documents[url] = now, document
        return document


def _are_keys(document: Mapping[str, Any]) -> None:
    keys = document.get("keys")
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise ProviderError("there are no keys where the provider has them")


def _parsed(content: bytes) -> Any:
    try:
        return wire.parse_json(content, unique_keys=False)
    except ValueError:
        raise ProviderError("the provider answered with something else than JSON") from None


@contextmanager
def _failing() -> Iterator[None]:
    """Tell of every failure in one word; the originals hold URLs, and these hold tokens."""
    from authlib.integrations.base_client import OAuthError
    from requests import RequestException

    from .outbound import OutboundError

    try:
        yield
    except OutboundError as error:
        raise ProviderError(f"the provider could not be asked: {error}") from None
    except OAuthError as error:
        raise ProviderError(f"the provider refused: {str(error.error)[:100]!r}") from None
    except (RequestException, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        # authlib raises what requests raises, and what comes of an answer that is no object, or nests for ever
        raise ProviderError(f"the provider answered what nobody understands ({type(error).__name__})") from None

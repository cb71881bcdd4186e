"""The providers whose users can sign in: ``social_providers=[GitHub(client_id="...", client_secret="...")]``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..config import PREFIX
from ..errors import ConfigError
from ..oauth.provider import Profile, Provider, ProviderError, Tokens
from ..wire import python_name

if TYPE_CHECKING:
    from .catalog import (
        VK,
        Apple,
        Atlassian,
        Cloudflare,
        Cognito,
        Discord,
        Dropbox,
        Facebook,
        Figma,
        GitHub,
        GitLab,
        Google,
        HuggingFace,
        Kakao,
        Kick,
        Line,
        Linear,
        LinkedIn,
        Microsoft,
        Naver,
        Notion,
        Paybin,
        PayPal,
        Polar,
        Railway,
        Reddit,
        Roblox,
        Salesforce,
        Slack,
        Spotify,
        TikTok,
        Twitch,
        Twitter,
        Vercel,
        WeChat,
        Zoom,
    )
    from .options import TokenEndpointAuth

__all__ = [
    "VK",
    "Apple",
    "Atlassian",
    "Cloudflare",
    "Cognito",
    "Discord",
    "Dropbox",
    "Facebook",
    "Figma",
    "GitHub",
    "GitLab",
    "Google",
    "HuggingFace",
    "Kakao",
    "Kick",
    "Line",
    "Linear",
    "LinkedIn",
    "Microsoft",
    "Naver",
    "Notion",
    "PayPal",
    "Paybin",
    "Polar",
    "Profile",
    "Provider",
    "ProviderError",
    "Railway",
    "Reddit",
    "Roblox",
    "Salesforce",
    "Slack",
    "Spotify",
    "TikTok",
    "TokenEndpointAuth",
    "Tokens",
    "Twitch",
    "Twitter",
    "Vercel",
    "WeChat",
    "Zoom",
]

#: What the configuration calls the dict of all of them.
_ALL = f"{PREFIX}SOCIAL_PROVIDERS"
#: The ``provider_id`` of passwords, and a word that the catalogue does not have.
_RESERVED = ("credential",)


def __getattr__(name: str) -> Any:
    """The catalogue loads when something of it is wanted: its options take longer than all else of an import."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(".options" if name == "TokenEndpointAuth" else ".catalog", __name__), name)


def split(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The settings without those of providers, and these, by provider.

    ``BETTER_AUTH_GITHUB_CLIENT_ID``, a dict ``BETTER_AUTH_GITHUB``, and a dict of such dicts,
    ``BETTER_AUTH_SOCIAL_PROVIDERS``.
    """
    from .catalog import CATALOG

    rest, found = dict(settings), dict[str, dict[str, Any]]()
    for name, options in _dict(_ALL, rest.pop(_ALL, {})).items():
        found[name.lower()] = _read(f"{_ALL}[{name!r}]", options)
    for key in sorted(key for key in settings if key.startswith(PREFIX)):
        provider_id, _, option = key[len(PREFIX) :].lower().partition("_")
        if provider_id in CATALOG:
            value = rest.pop(key)
            found.setdefault(provider_id, {}).update(_read(key, {option: value} if option else value))
    return rest, found


def _read(key: str, options: Any) -> dict[str, Any]:
    # identifiers may be all digits, which from_prefixed_env takes for a number
    read = _options(_dict(key, options)).items()
    return {name: str(v) if type(v) is int and name.startswith("client_") else v for name, v in read}


def _dict(key: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{key} must be a dict, not {type(value).__name__}")
    return value


def build(
    given: Iterable[Provider] | Mapping[str, Any],
    settings: Mapping[str, Mapping[str, Any]],
    further: Iterable[Provider],
) -> dict[str, Provider]:
    """The providers of an application, by identifier.

    Args:
        given: as the application names them: a list, or a dict of dicts, as the reference has it.
        settings: of the deployment, by provider; one that it names alone is one too.
        further: of plugins.

    Raises:
        ConfigError: nobody knows one, two have one identifier, or one lacks an option.
    """
    from .base import Social

    made = list(_from_dicts(given) if isinstance(given, Mapping) else given)
    known = {provider.id for provider in made}
    made += _from_dicts({name: options for name, options in settings.items() if name not in known})
    told = [p.told(_options(settings.get(p.id, {}))) if isinstance(p, Social) else p for p in made]
    providers: dict[str, Provider] = {}
    for provider in (*told, *further):
        if provider.id in providers or provider.id in _RESERVED:
            raise ConfigError(f"there can be no second provider {provider.id}")
        if isinstance(provider, Social):
            provider.check()
        providers[provider.id] = provider
    return providers


def _from_dicts(given: Mapping[str, Any]) -> list[Provider]:
    from .catalog import CATALOG

    made: list[Provider] = []
    for name, options in given.items():
        if name not in CATALOG:
            raise ConfigError(f"there is no provider {name!r}; there are {', '.join(sorted(CATALOG))}")
        named = _options(_dict(f"the provider {name}", options))
        if named.get("enabled", True) not in (False, "false", "0"):
            made.append(CATALOG[name](**named))
    return made


def _options(options: Mapping[str, Any]) -> dict[str, Any]:
    return {python_name(name): value for name, value in options.items()}

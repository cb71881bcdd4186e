"""The plugins that come with the extension. Each is loaded when it is first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bearer import Bearer
    from .generic_oauth import GenericOAuth
    from .oauth_popup import OAuthPopup
    from .oauth_proxy import OAuthProxy
    from .one_tap import OneTap
    from .username import Username

__all__ = ["Bearer", "GenericOAuth", "OAuthPopup", "OAuthProxy", "OneTap", "Username"]

_MODULES = {
    "Bearer": "bearer",
    "GenericOAuth": "generic_oauth",
    "OAuthPopup": "oauth_popup",
    "OAuthProxy": "oauth_proxy",
    "OneTap": "one_tap",
    "Username": "username",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

"""A provider on this machine that plays several, for whoever has no credentials at hand: the one of the tests."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from flask_better_auth.plugins import GenericOAuth

sys.path.append(str(Path(__file__).parents[2] / "tests"))
from support.provider import LoopbackProvider


def providers(names: Mapping[str, str]) -> GenericOAuth:
    """Start it, and make it known under each of the names."""
    provider = LoopbackProvider().start()
    for name in names:
        provider.register(name, f"secret-of-{name}")
    return GenericOAuth(
        config=[
            {
                "provider_id": name,
                "name": label,
                "client_id": name,
                "client_secret": f"secret-of-{name}",
                "discovery_url": f"{provider.url}/.well-known/openid-configuration",
                "scopes": ["openid", "profile", "email"],
            }
            for name, label in names.items()
        ]
    )

"""Where in a profile what stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

#: Places in a profile: paths such as ``"name.display_name"``, several of them with spaces between for a name that has
#: several parts, or functions of the profile. Of several places the first counts that holds something, else the last.
Places = tuple[str | Callable[[Mapping[str, Any]], Any], ...]


@dataclass(frozen=True)
class Claims:
    """Where in a profile what stands.

    Args:
        id: the identifier that never changes.
        name, email, image: columns of the user table.
        email_verified: whether the address is proven; nowhere, where the provider does not say it.
        further: more columns, which an application may have.
        placeholder: a domain for addresses of users who have none: ``"reddit"`` for ``7@reddit.placeholder.invalid``.
    """

    id: Places = ("id",)
    name: Places = ("name",)
    email: Places = ("email",)
    image: Places = ("picture",)
    email_verified: Places = ("email_verified",)
    further: Mapping[str, str] = field(default_factory=dict)
    placeholder: str | None = None


def at(data: Any, places: Places) -> Any:
    """What stands at the first of several places that holds something, else at the last; ``...`` if there is none."""
    value: Any = ...
    for place in places:
        value = place(data) if callable(place) else path_in(data, place)
        if value is not ... and value:
            return value
    return value


def path_in(data: Any, path: str) -> Any:
    """What stands at a place in JSON; ``...`` if there is no such place."""
    if " " in path:
        return joined(*(path_in(data, part) for part in path.split())) or ...
    if isinstance(data, Mapping) and path in data:  # names that are URLs have dots in them
        return data[path]
    for step in path.split("."):
        if isinstance(data, Mapping):
            data = data.get(step, ...)
        elif isinstance(data, list) and step.isdigit() and int(step) < len(data):
            data = data[int(step)]
        else:
            return ...
    return data


def joined(*parts: object) -> str:
    """Names of a person as one."""
    return " ".join(str(part) for part in parts if isinstance(part, str) and part).strip()

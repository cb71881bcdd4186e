"""The candidate server of the conformance harness: one profile of the reference's options, on a movable clock.

``PROFILE``, ``PORT`` and ``CONFORMANCE_NONCE`` come from the harness. By hand: ``DATABASE_URL`` (then nothing is
created, emptied or reset at the start), ``BETTER_AUTH_SECRET``, ``NAMING=camelCase``, ``PASSWORD_HASH=scrypt``, and
``PROFILES``, the file that holds the profiles.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import time_machine
from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST
from flask import Flask, jsonify, request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import delete, func, inspect, select, update

from flask_better_auth import BetterAuth
from flask_better_auth.oauth.outbound import Outbound
from flask_better_auth.plugins import Bearer, GenericOAuth, Username
from flask_better_auth.ratelimit import RateLimits
from flask_better_auth.services import session_stores
from flask_better_auth.storage import Guarded, MemoryStorage
from flask_better_auth.wire import python_name, wire_name

HERE = Path(__file__).resolve().parent
PROFILES = Path(os.environ.get("PROFILES") or HERE.parents[2] / "shared" / "conformance" / "profiles.json")
SECRET = "conformance-secret-0123456789-abcdefghijklmnop"


def generic_oauth(config: list[dict[str, Any]]) -> GenericOAuth:
    """The plugin of the reference's options, with the provider that the harness plays."""
    told = json.loads(json.dumps(config).replace("${idp}", os.environ.get("IDP_URL", "")))
    return GenericOAuth(config=[{python_name(name): value for name, value in one.items()} for one in told])


PLUGINS = {"bearer": Bearer, "genericOAuth": generic_oauth, "username": Username}
#: What the outbox shows of a message.
SHOWN = ("url", "token", "new_email", "id")
#: Kinds whose callbacks get ``{user}`` in the reference, and not the user itself.
NOTICES = {"on-password-reset", "existing-user-sign-up"}


class Clock:
    """Time that the harness moves forward."""

    def __init__(self) -> None:
        self.shift = 0.0
        self.traveller: Any = None

    def advance(self, seconds: float) -> None:
        if self.traveller is not None:
            self.traveller.stop()
            self.traveller = None
        self.shift += seconds
        self.traveller = time_machine.travel(time.time() + self.shift, tick=True)
        self.traveller.start()

    def now(self) -> dict[str, int]:
        return {"now": int(time.time() * 1000)}


class ClientAddress:
    """Sets REMOTE_ADDR by the reference's header rules (hooks.md, section 5); none at all where they give none.

    Args:
        app: the WSGI application.
        headers: tried in order; the first that gives an address counts.
        proxies: addresses and networks whose word counts; without any, a header must hold one address alone.
    """

    def __init__(self, app: Any, headers: Sequence[str] = ("x-forwarded-for",), proxies: Sequence[str] = ()) -> None:
        self.app = app
        self.keys = ["HTTP_" + header.upper().replace("-", "_") for header in headers]
        self.proxies = [ip_network(proxy, strict=False) for proxy in proxies]

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        found = (self.client(environ[key]) for key in self.keys if key in environ)
        environ["REMOTE_ADDR"] = next(filter(None, found), "")
        return self.app(environ, start_response)

    def client(self, chain: str) -> str:
        """The address that a header gives, or nothing."""
        try:
            addresses = [ip_address(part.strip()) for part in chain.split(",")]
        except ValueError:
            return ""
        if not self.proxies:
            return str(addresses[0]) if len(addresses) == 1 else ""
        strangers = (a for a in reversed(addresses) if not any(a in proxy for proxy in self.proxies))
        return str(next(strangers, ""))


def options_of(profile: dict[str, Any], outbox: list[dict[str, Any]], base: str) -> dict[str, Any]:
    """The constructor arguments that stand for a profile's options."""

    def sender(kind: str) -> Any:
        def send(**message: Any) -> None:
            user = message.get("user") or {}
            if "url" not in message and kind not in NOTICES:
                message["id"] = user.get("id")  # the reference's callback gets the user, and no message about one
            shown = {wire_name(k): message[k] for k in SHOWN if isinstance(message.get(k), str)}
            outbox.append({"kind": kind, "to": user.get("email"), **shown})

        return send

    def convert(value: Any) -> Any:
        if isinstance(value, dict):
            return {python_name(key): convert(item) for key, item in value.items()}
        if isinstance(value, list):
            return [convert(item) for item in value]
        if isinstance(value, str) and value.startswith("$send:"):
            return sender(value.removeprefix("$send:"))
        if value == "$storage":
            return MemoryStorage()
        if isinstance(value, str):
            return value.replace("${base}", base).replace("${idp}", os.environ.get("IDP_URL", ""))
        return value

    options: dict[str, Any] = convert(profile)
    account = options.get("account", {})
    if "encrypt_o_auth_tokens" in account:
        account["encrypt_oauth_tokens"] = account.pop("encrypt_o_auth_tokens")
    rules = profile.get("rateLimit", {}).get("customRules")
    if rules:  # paths are no names to be translated
        options["rate_limit"]["custom_rules"] = rules
    for section in options.values():
        for field in section.get("additional_fields", {}).values() if isinstance(section, dict) else ():
            if "default_value" in field:
                field["default"] = field.pop("default_value")
    return options


def plugins_of(profile: dict[str, Any]) -> list[Any]:
    """The plugins that stand for a profile's, by their official names."""
    made = []
    for name, options in profile.get("plugins", {}).items():
        if name not in PLUGINS:
            sys.exit(f"there is no plugin {name}")
        made.append(PLUGINS[name](**{python_name(key): value for key, value in options.items()}))
    return made


def reach_only(idp: str) -> None:
    """Let every request to a provider go to the one that the harness plays, and none to the internet."""
    make, request = Outbound.__init__, Outbound.request

    def made(self: Any, own: Any = (), **options: Any) -> None:
        make(self, [*own, *([idp] if idp else ())], **options)

    def elsewhere(self: Any, method: str, url: str, *arguments: Any, **options: Any) -> Any:
        return request(self, method, url.replace("https://", f"{idp}/host/", 1), *arguments, **options)

    Outbound.__init__ = made  # type: ignore[method-assign]  # the one way out
    Outbound.request = elsewhere  # type: ignore[method-assign]


def main() -> None:
    port, name = int(os.environ["PORT"]), os.environ.get("PROFILE", "base")
    profiles = json.loads(PROFILES.read_text())
    base = f"http://localhost:{port}"
    reach_only(os.environ.get("IDP_URL", ""))
    outbox: list[dict[str, Any]] = []
    clock = Clock()
    wanted = {**profiles["defaults"], **profiles["profiles"][name].get("options", {})}
    by = wanted.get("advanced", {}).get("ipAddress", {})
    headers, proxies = by.pop("ipAddressHeaders", ["x-forwarded-for"]), by.pop("trustedProxies", [])
    options = options_of(wanted, outbox, base)
    given = os.environ.get("DATABASE_URL")
    folder = tempfile.mkdtemp()
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = given or f"sqlite:///{folder}/conformance.db"
    app.testing = not os.environ.get("PASSWORD_HASH")  # permits the cheapest hash
    db = SQLAlchemy(app)
    auth = BetterAuth(
        app,
        secret=os.environ.get("BETTER_AUTH_SECRET", SECRET),
        url=base,
        naming=os.environ.get("NAMING", "snake_case"),
        password_hash=os.environ.get("PASSWORD_HASH") or PasswordHasher.from_parameters(CHEAPEST),
        plugins=plugins_of(profiles["profiles"][name]),
        hardening=False,
        additions=False,
        **options,
    )
    app.testing = False
    tables = {"user": auth.User, "session": auth.Session, "account": auth.Account, "verification": auth.Verification}
    state = app.extensions["better_auth"]
    if "rate_limit" in state.tables:
        tables["rateLimit"] = auth.model("rate_limit")
    if not given:
        with app.app_context():
            db.create_all()

    @app.get("/__health")
    def health() -> Any:
        return jsonify(ok=True, profile=name, nonce=os.environ.get("CONFORMANCE_NONCE"))

    @app.post("/__reset")
    def reset() -> Any:
        outbox.clear()
        if state.storage is not None:
            state.storage = Guarded(MemoryStorage(), app.logger.warning)
            state.sessions = session_stores.build(state)
        state.limits = RateLimits(state)
        for model in reversed(tables.values()):
            db.session.execute(delete(model))
        db.session.commit()
        return jsonify(clock.now())

    @app.post("/__clock")
    def advance() -> Any:
        clock.advance(request.json["advance"])
        return jsonify(clock.now())

    @app.get("/__outbox")
    def read_outbox() -> Any:
        return jsonify(outbox)

    @app.post("/__db")
    def rows() -> Any:
        asked = request.json
        model = tables[asked["model"]]
        columns = {key: getattr(model, python_name(key)) for key in (*asked.get("where", {}), *asked.get("set", {}))}
        where = [columns[key] == value for key, value in asked.get("where", {}).items()]
        if asked["op"] == "find":
            return jsonify([row.to_dict() for row in db.session.scalars(select(model).where(*where))])
        if asked["op"] == "count":
            return jsonify(count=db.session.scalar(select(func.count()).select_from(model).where(*where)))
        if asked["op"] == "delete":
            statement = delete(model).where(*where)
        else:
            moments = {a.key for a in inspect(model).column_attrs if a.key.endswith(("_at", "_expires"))}
            values = {
                python_name(key): datetime.fromisoformat(value.replace("Z", "+00:00"))
                if python_name(key) in moments and value
                else value
                for key, value in asked["set"].items()
            }
            statement = update(model).where(*where).values(values)
        count = db.session.execute(statement, execution_options={"synchronize_session": False}).rowcount
        db.session.commit()
        return jsonify(count=count)

    app.wsgi_app = ClientAddress(app.wsgi_app, headers, proxies)  # type: ignore[method-assign]  # how Flask documents middleware
    app.run("127.0.0.1", port, threaded=False)


if __name__ == "__main__":
    main()

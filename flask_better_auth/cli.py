"""``flask better-auth ...``."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Sequence
from typing import Any

import click
from flask import current_app
from flask.cli import AppGroup, with_appcontext
from sqlalchemy import or_, select

from . import checks
from .api import API, APIError
from .context import AuthState
from .errors import ConfigError

cli = AppGroup("better-auth", help="Users, sessions and settings of better-auth.")


def _state() -> AuthState:
    state: AuthState | None = current_app.extensions.get("better_auth")
    if state is None:
        raise click.ClickException("this application has no BetterAuth")
    return state


def _api() -> API:
    state = _state()
    return API(state.registry.by_name, lambda: state)


def _user_id(user: str) -> str:
    """The identifier of the user who has it, or the e-mail address."""
    state = _state()
    columns = state.tables["user"].columns
    which = or_(columns["id"] == user, columns["email"] == user.lower())
    found: list[str] = list(state.db.session.scalars(select(columns["id"]).where(which)))
    if len(found) != 1:
        raise click.ClickException(f"there is no user {user!r}")
    state.db.session.rollback()  # nothing was written, and the call that follows needs no transaction around it
    return found[0]


def _table(rows: Iterable[Sequence[Any]]) -> None:
    """Print columns. What cannot be printed becomes a question mark: a client has chosen some of these texts."""
    shown = [["".join(c if c.isprintable() else "?" for c in str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@cli.command("secret", with_appcontext=False)
def secret() -> None:
    """Print a new secret for BETTER_AUTH_SECRET."""
    click.echo(secrets.token_urlsafe(32))


@cli.command("create-user")
@click.argument("email")
@click.option("--name", prompt=True, help="What the user is called.")
@click.password_option(help="Asked for when it is not given, so that it stays out of the shell's history.")
@click.option("--verified", is_flag=True, help="Take the address as proven.")
@with_appcontext
def create_user(email: str, name: str, password: str, verified: bool) -> None:
    """Create a user with a password."""
    try:
        result = _api().create_user(email=email, name=name, password=password, email_verified=verified)
    except APIError as error:
        raise click.ClickException(error.message) from error
    click.echo(result["user"]["id"])


@cli.command("list-sessions")
@click.argument("user")
@with_appcontext
def list_sessions(user: str) -> None:
    """List where USER, an id or an e-mail address, is signed in."""
    heads = ("id", "created_at", "expires_at", "ip_address", "user_agent")
    sessions = _api().list_sessions(user_id=_user_id(user))
    _table([heads, *([_cell(session[head]) for head in heads] for session in sessions)])


def _cell(value: Any) -> str:
    return value.isoformat(" ", "seconds") if hasattr(value, "isoformat") else value or "-"


@cli.command("revoke-sessions")
@click.argument("user", required=False)
@click.option("--all", "everyone", is_flag=True, help="Sign out everybody.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_appcontext
def revoke_sessions(user: str | None, everyone: bool, yes: bool) -> None:
    """Sign USER, an id or an e-mail address, out everywhere."""
    if (user is not None) is everyone:
        raise click.UsageError("give a user or --all")
    api, state = _api(), _state()
    if state.config.session.stateless:
        raise click.ClickException(
            "sessions are in cookies alone, where nobody can end them; change cookie_cache.version"
        )
    if user is not None:
        users = [_user_id(user)]
    else:
        # where sessions are no rows, nobody knows who has one
        table, column = ("session", "user_id") if state.sessions.in_database else ("user", "id")
        users = list(state.db.session.scalars(select(state.tables[table].columns[column]).distinct()))
        state.db.session.rollback()
    if not yes:
        click.confirm("Sign everybody out?" if everyone else f"Sign {user} out everywhere?", abort=True)
    for user_id in users:
        api.revoke_sessions(user_id=user_id)
    click.echo(f"{len(users)} signed out")


@cli.command("cleanup")
@with_appcontext
def cleanup() -> None:
    """Delete expired sessions and verifications. Safe at any time; once a day is often enough."""
    for table, count in _api().cleanup().items():
        click.echo(f"{table}: {count}")


def _report(findings: Sequence[checks.Finding]) -> None:
    """Print what was found, and the statements that mend it; one error is a failure."""
    levels = ("error", "warning", "note")
    ordered = sorted(findings, key=lambda finding: levels.index(finding.level))
    _table([(finding.level, finding.where, finding.text) for finding in ordered])
    for finding in ordered:
        for number, statement in enumerate(finding.statements):
            click.echo(f"\n-- {finding.where}" if not number else "", nl=not number)
            click.echo(f"{statement};")
    if any(finding.level == "error" for finding in findings):
        raise click.ClickException("it does not fit")
    click.echo("it fits")


@cli.command("adopt")
@click.option("--check", is_flag=True, required=True, help="Only look. The statements it prints are yours to run.")
@click.option("--cookie", help="A session cookie that the other server set, to compare the secrets.")
@with_appcontext
def adopt(check: bool, cookie: str | None) -> None:
    """Tell how the application fits a database that a TypeScript server made."""
    _report(checks.adoption(_state(), cookie))


@cli.command("check")
@with_appcontext
def check() -> None:
    """Tell how the tables fit the models, and what of the settings is wrong for a deployment."""
    state = _state()
    _report([*checks.settings(state), *checks.schema(state)])


@cli.command("routes")
@with_appcontext
def routes() -> None:
    """List what the extension serves, and what of it the server alone can call."""
    state = _state()
    rows: list[Sequence[str]] = [("method", "path", "limit", "auth.api")]
    for bound in state.registry:
        endpoint = bound.endpoint
        served = endpoint.routes(additions=state.config.additions)
        limit = state.limits.of(endpoint)
        shown = f"{limit.max}/{limit.per}s" if limit else "-"
        rows += [(method, state.config.base_path + path, shown, endpoint.name) for method, path in served]
        if not served:
            rows.append(("-", "(server only)", "-", endpoint.name))
    _table(rows)


@cli.command("openapi")
@with_appcontext
def openapi() -> None:
    """Print the OpenAPI document of what the extension serves."""
    try:
        from .openapi import document  # apispec is optional
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    click.echo(json.dumps(document(_state()), indent=2))

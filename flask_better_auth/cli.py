"""``flask better-auth ...``."""

from __future__ import annotations

import secrets

import click
from flask import current_app
from flask.cli import AppGroup, with_appcontext

from .api import API, APIError

cli = AppGroup("better-auth", help="Users, sessions and settings of better-auth.")


def _api() -> API:
    state = current_app.extensions.get("better_auth")
    if state is None:
        raise click.ClickException("this application has no BetterAuth")
    return API(state.registry.by_name, lambda: state)


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

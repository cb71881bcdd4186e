"""``flask better-auth``: found by Flask through its entry point, told what went wrong in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from click.testing import Result
from conftest import PASSWORD, Browser, Site, command
from flask import Flask
from flask.cli import FlaskGroup

from flask_better_auth import BetterAuth, clock

Run = Callable[..., Result]


@pytest.fixture
def run(site: Site) -> Run:
    return lambda *arguments, **options: command(site.app, *arguments, **options)


def test_command_is_found_and_tells_what_it_can_do(run: Run) -> None:
    shown = run("--help")
    assert shown.exit_code == 0
    assert "secret" in shown.output
    assert "create-user" in shown.output


def test_secret_is_new_each_time_and_good_enough(run: Run) -> None:
    secrets = [run("secret").output.strip() for _ in range(3)]
    assert len(set(secrets)) == 3
    for secret in secrets:
        assert secret.isascii()
        assert len(secret) >= 32
        app = Flask("host")  # neither debug nor testing: weak secrets are refused
        app.config.update(BETTER_AUTH_SECRET=secret, BETTER_AUTH_URL="https://app.example.com")
        app.config["BETTER_AUTH_DATABASE_URI"] = "sqlite://"
        BetterAuth(app)


def test_secret_needs_no_application() -> None:
    def fail() -> Flask:
        raise AssertionError("no application is needed")

    runner = Flask("other").test_cli_runner()
    done = runner.invoke(
        FlaskGroup(create_app=fail, load_dotenv=False, set_debug_flag=False), ["better-auth", "secret"]
    )
    assert (done.exit_code, len(done.output.strip()) >= 32) == (0, True)


def test_created_user_can_sign_in(site: Site, run: Run) -> None:
    done = run("create-user", "Ada@Example.com", "--name", "Ada", "--password", PASSWORD)
    (user,) = site.rows("user")
    assert (done.exit_code, done.output) == (0, f"{user.id}\n")
    assert (user.name, user.email, user.email_verified) == ("Ada", "ada@example.com", False)
    assert site.rows("session") == []
    assert site.api.sign_in_email(email="ada@example.com", password=PASSWORD)["user"]["id"] == user.id


def test_address_can_be_taken_as_proven(site: Site, run: Run) -> None:
    run("create-user", "ada@example.com", "--name", "Ada", "--password", PASSWORD, "--verified")
    assert site.rows("user")[0].email_verified is True


def test_what_is_not_given_is_asked_for(site: Site, run: Run) -> None:
    done = run("create-user", "ada@example.com", input=f"Ada Lovelace\n{PASSWORD}\n{PASSWORD}\n")
    assert done.exit_code == 0, done.output
    assert PASSWORD not in done.output
    assert site.rows("user")[0].name == "Ada Lovelace"
    assert site.api.sign_in_email(email="ada@example.com", password=PASSWORD)["user"]["name"] == "Ada Lovelace"


def test_password_is_asked_for_twice(site: Site, run: Run) -> None:
    done = run("create-user", "ada@example.com", "--name", "Ada", input=f"{PASSWORD}\nanother password\n")
    assert done.exit_code != 0
    assert PASSWORD not in done.output
    assert "another password" not in done.output
    assert site.rows("user") == []


@pytest.mark.parametrize(
    ("email", "password", "message"),
    [
        ("taken@example.com", PASSWORD, "User already exists. Use another email."),
        ("TAKEN@example.com", PASSWORD, "User already exists. Use another email."),
        ("no address", PASSWORD, "[body.email] Invalid email address"),
        ("ada@example.com", "seven77", "Password too short"),
        ("ada@example.com", "long-" * 30, "Password too long"),
        ("ada@example.com", "", "[body.password] Too small: expected string to have >=1 characters"),
        ("ada@example.com", "surrogate\udcff-password", None),
    ],
)
def test_errors_are_shown_as_a_sentence(site: Site, run: Run, email: str, password: str, message: str | None) -> None:
    site.api.create_user(email="taken@example.com", name="Taken")
    before = site.snapshot()
    done = run("create-user", email, "--name", "Ada", "--password", password)
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit), "no traceback"
    assert done.output.startswith("Error: ")
    assert message is None or done.output == f"Error: {message}\n"
    assert not password or password not in done.output
    assert site.snapshot() == before


def test_application_without_the_extension_is_told_so() -> None:
    done = command(Flask("bare"), "create-user", "ada@example.com", "--name", "Ada", "--password", PASSWORD)
    assert done.exit_code == 1
    assert done.output.startswith("Error: ")
    assert "BetterAuth" in done.output
    assert PASSWORD not in done.output


def test_sign_up_may_be_closed_to_all_but_the_server(make_auth: Callable[..., Site]) -> None:
    site = make_auth(email_and_password={"disable_sign_up": True})
    body = {"email": "ada@example.com", "name": "Ada", "password": PASSWORD}
    assert site.browser().post("/sign-up/email", body).json["code"] == "EMAIL_PASSWORD_SIGN_UP_DISABLED"
    assert command(site.app, "create-user", "ada@example.com", "--name", "Ada", "--password", PASSWORD).exit_code == 0
    assert [user.email for user in site.rows("user")] == ["ada@example.com"]


# ---------------------------------------------------------------- sessions


def signed_in(site: Site, **headers: str) -> Browser:
    """A further browser of Ada's."""
    browser = site.browser()
    body = {"email": "ada@example.com", "password": PASSWORD}
    assert browser.post("/sign-in/email", body, headers=headers).status_code == 200
    return browser


@pytest.mark.parametrize("by", ["id", "email", "capitals"])
def test_sessions_of_a_user_are_listed_without_their_tokens(site: Site, run: Run, by: str) -> None:
    ada, _ = site.sign_up("ada"), site.sign_up("bob")
    signed_in(site, **{"User-Agent": "Phone \x1b[2J\x9b1m \u202e 5"})
    user = ada.session()["user"]
    done = run("list-sessions", {"id": user["id"], "email": "ada@example.com", "capitals": "Ada@Example.com"}[by])
    assert done.exit_code == 0, done.output
    heads, *lines = done.output.splitlines()
    assert heads.split() == ["id", "created_at", "expires_at", "ip_address", "user_agent"]
    rows = [row for row in site.rows("session") if row.user_id == user["id"]]
    assert {line.split()[0] for line in lines} == {row.id for row in rows}
    assert not any(row.token in done.output for row in rows)
    assert "Phone ?[2J" in done.output
    assert all(character.isprintable() or character == "\n" for character in done.output)


def test_one_user_is_signed_out_everywhere(site: Site, run: Run) -> None:
    ada, bob = site.sign_up("ada"), site.sign_up("bob")
    phone = signed_in(site)
    done = run("revoke-sessions", "ada@example.com", input="n\n")
    assert (done.exit_code, ada.session() is None) == (1, False)
    done = run("revoke-sessions", "ada@example.com", input="y\n")
    assert (done.exit_code, done.output.splitlines()[-1]) == (0, "1 signed out")
    assert ada.session() is phone.session() is None
    assert bob.session() is not None


def test_everybody_is_signed_out(site: Site, run: Run) -> None:
    ada, bob = site.sign_up("ada"), site.sign_up("bob")
    assert run("revoke-sessions", "--all", input="n\n").exit_code == 1
    assert ada.session() is not None
    done = run("revoke-sessions", "--all", "--yes")
    assert (done.exit_code, done.output) == (0, "2 signed out\n")
    assert ada.session() is bob.session() is None
    assert site.rows("session") == []


@pytest.mark.parametrize("beside", [False, True])
def test_everybody_is_signed_out_of_a_storage_too(make_auth: Callable[..., Site], beside: bool) -> None:
    site = make_auth(secondary_storage="memory", session={"store_session_in_database": beside})
    ada, bob = site.sign_up("ada"), site.sign_up("bob")
    done = command(site.app, "revoke-sessions", "--all", "--yes")
    assert done.output == "2 signed out\n"
    assert (ada.session(), bob.session()) == (None, None)


def test_sessions_in_cookies_alone_are_nobodys_to_revoke(make_auth: Callable[..., Site]) -> None:
    site = make_auth(session={"stateless": True})
    site.sign_up("ada")
    done = command(site.app, "revoke-sessions", "ada@example.com", "--yes")
    assert done.exit_code == 1
    assert "cookies alone" in done.output


@pytest.mark.parametrize("arguments", [[], ["ada@example.com", "--all"]])
def test_it_must_be_said_who_is_signed_out(site: Site, run: Run, arguments: list[str]) -> None:
    ada = site.sign_up("ada")
    assert run("revoke-sessions", "--yes", *arguments).exit_code == 2
    assert ada.session() is not None


@pytest.mark.parametrize("name", ["list-sessions", "revoke-sessions"])
@pytest.mark.parametrize("who", ["nobody@example.com", "", "%", "' OR 1=1 --"])
def test_unknown_user_is_told_in_a_sentence(site: Site, run: Run, name: str, who: str) -> None:
    ada = site.sign_up("ada")
    done = run(name, who, *(["--yes"] if name == "revoke-sessions" else []))
    assert (done.exit_code, done.output) == (1, f"Error: there is no user {who!r}\n")
    assert ada.session() is not None


def test_cleanup_tells_how_much_there_was(site: Site, run: Run) -> None:
    ada = site.sign_up("ada")
    now = clock.now()
    with site.app.app_context():
        user_id = ada.session()["user"]["id"]
        site.db.session.add(site.auth.Session(user_id=user_id, token="over", expires_at=now))
        for hours in (-2, -1, 1):
            over = now + timedelta(hours=hours)
            site.db.session.add(site.auth.Verification(identifier=f"i{hours}", value="v", expires_at=over))
        site.db.session.commit()
    assert run("cleanup").output == "session: 1\nverification: 2\n"
    assert run("cleanup").output == "session: 0\nverification: 0\n"
    assert ada.session() is not None
    assert len(site.rows("verification")) == 1


def test_routes_are_listed_with_their_names(site: Site, run: Run) -> None:
    heads, *lines = [line.split() for line in run("routes").output.splitlines()]
    assert heads == ["method", "path", "limit", "auth.api"]
    for line in (
        ["POST", "/api/auth/sign-in/email", "-", "sign_in_email"],
        ["POST", "/api/auth/update-user", "-", "update_user"],
        ["PATCH", "/api/auth/update-user", "-", "update_user"],
        ["-", "(server", "only)", "-", "create_user"],
        ["-", "(server", "only)", "-", "set_password"],
    ):
        assert line in lines
    assert {line[-1] for line in lines} == set(dir(site.api))


def test_routes_are_listed_with_their_limits(make_auth: Callable[..., Site]) -> None:
    rules = {"/list-*": {"window": 30, "max": 7}, "/ok": False}
    site = make_auth(rate_limit={"enabled": True, "custom_rules": rules})
    lines = [line.split() for line in command(site.app, "routes").output.splitlines()]
    limits = {line[-1]: line[-2] for line in lines}
    expected = {"sign_in_email": "3/10s", "list_sessions": "7/30s", "get_session": "100/10s", "ok": "-"}
    assert {name: limits[name] for name in (*expected, "create_user")} == {**expected, "create_user": "-"}


def test_routes_are_those_of_this_application(make_auth: Callable[..., Site]) -> None:
    shown = command(make_auth(base_path="/login", additions=False).app, "routes").output
    assert "/login/update-user" in shown
    assert "PATCH" not in shown

"""Errors: their codes, texts and statuses, and what becomes of one that leaves a view of the application."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import PASSWORD, Site

from flask_better_auth import APIError, ConfigError, TransactionConflict
from flask_better_auth.api import APIError as APIErrorOfTheAPI
from flask_better_auth.errors import CoreErrors, ErrorCode, status_name

VECTORS = json.loads((Path(__file__).parent / "vectors" / "errors.json").read_text())
#: Errors of the reference: its core constants, and those that it spells where it throws them.
REFERENCE: dict[str, dict[str, Any]] = VECTORS["core"] | VECTORS["inline"]
OURS: dict[str, ErrorCode] = {name: item for name, item in vars(CoreErrors).items() if isinstance(item, ErrorCode)}
#: The page that owns up to every refusal which the reference does not know.
DIFFERENCES = (Path(__file__).parents[1] / "docs" / "differences.md").read_text()


@pytest.mark.parametrize("name", sorted(OURS.keys() & REFERENCE.keys()))
def test_error_is_the_references(name: str) -> None:
    error, known = OURS[name], REFERENCE[name]
    assert error.message == known["message"]
    assert error.status in known["http_status"] or not known["http_status"]


def test_enough_errors_are_compared() -> None:
    assert len(OURS.keys() & VECTORS["core"].keys()) > 15


# the text of UNSUPPORTED_MEDIA_TYPE names the media type each time
@pytest.mark.parametrize("name", sorted(OURS.keys() - REFERENCE.keys() - {"UNSUPPORTED_MEDIA_TYPE"}))
def test_error_of_our_own_is_listed_among_the_differences(name: str) -> None:
    assert f"`{name}`" in DIFFERENCES


@pytest.mark.parametrize("name", sorted(OURS))
def test_code_and_attribute_are_one_word(name: str) -> None:
    assert OURS[name].code == name
    assert APIError(OURS[name]).code == name


@pytest.mark.parametrize("status", sorted(VECTORS["status_names"], key=int))
def test_statuses_are_called_as_in_the_reference(status: str) -> None:
    name = VECTORS["status_names"][status]
    assert status_name(int(status)) == name
    error = APIError(CoreErrors.UNAUTHORIZED, status=int(status))
    assert (error.status, error.status_code) == (name, int(status))


# ---------------------------------------------------------------- the exception


def test_error_tells_its_code_text_and_status() -> None:
    error = APIError(CoreErrors.INVALID_EMAIL_OR_PASSWORD)
    assert (error.message, error.code) == ("Invalid email or password", "INVALID_EMAIL_OR_PASSWORD")
    assert (error.status, error.status_code) == ("UNAUTHORIZED", 401)
    assert error.body == {"message": "Invalid email or password", "code": "INVALID_EMAIL_OR_PASSWORD"}
    assert list(error.body) == ["message", "code"], "the order on the wire"
    assert list(error.headers) == []
    assert str(error) == "Invalid email or password"


def test_error_takes_another_text_status_and_headers() -> None:
    error = APIError(
        CoreErrors.MISSING_FIELD, message="nickname is required", status=422, headers={"X-Field": "nickname"}
    )
    assert error.body == {"message": "nickname is required", "code": "MISSING_FIELD"}
    assert (error.status, error.status_code) == ("UNPROCESSABLE_ENTITY", 422)
    assert error.headers["x-field"] == "nickname"
    assert CoreErrors.MISSING_FIELD == ErrorCode("Field is required", 400, "MISSING_FIELD"), "the constant stays"
    assert list(APIError(CoreErrors.MISSING_FIELD).headers) == []


def test_text_may_be_empty() -> None:
    assert APIError(CoreErrors.MISSING_FIELD, message="").body == {"message": "", "code": "MISSING_FIELD"}


def test_error_without_a_code_has_none_in_its_body() -> None:
    error = APIError(CoreErrors.BAD_REQUEST, message="No fields to update", without_code=True)
    assert (error.code, error.body, error.status_code) == (None, {"message": "No fields to update"}, 400)


def test_redirect_is_an_error_without_a_body() -> None:
    error = APIError.redirect("/there?x=1")
    assert (error.status, error.status_code, error.code, error.body) == ("FOUND", 302, None, None)
    assert error.headers["Location"] == "/there?x=1"


def test_errors_are_told_apart() -> None:
    assert APIErrorOfTheAPI is APIError
    assert not issubclass(ConfigError, APIError)
    assert not issubclass(TransactionConflict, APIError)
    assert "session=db.session" in str(TransactionConflict())


# ---------------------------------------------------------------- out of a view


def test_error_that_leaves_a_view_is_the_same_answer(site: Site) -> None:
    wrong = {"email": "ada@example.com", "password": "wrong password"}

    @site.app.get("/own")
    def own() -> Any:
        return site.api.sign_in_email(body=wrong)

    @site.app.get("/right")
    def right() -> Any:
        return site.api.sign_in_email(body={**wrong, "password": PASSWORD})["user"]["email"]

    site.sign_up("ada")
    browser = site.browser()
    by_http, by_view = browser.post("/sign-in/email", wrong), browser.get("~/own")
    assert by_http.status_code == by_view.status_code == 401
    assert by_http.data == by_view.data == b'{"message":"Invalid email or password","code":"INVALID_EMAIL_OR_PASSWORD"}'
    assert by_http.content_type == by_view.content_type == "application/json"
    assert browser.get("~/right").data == b"ada@example.com"


def test_headers_and_text_leave_with_the_error(site: Site) -> None:
    @site.app.before_request
    def refuse() -> None:
        raise APIError(CoreErrors.SERVICE_UNAVAILABLE, message="später", headers={"Retry-After": "5"})

    answer = site.browser().get("~/anything")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.data == '{"message":"später","code":"SERVICE_UNAVAILABLE"}'.encode()


def test_redirect_that_leaves_a_view_is_a_302(site: Site) -> None:
    @site.app.get("/away")
    def away() -> None:
        raise APIError.redirect("/ü?x=%20")

    answer = site.browser().get("~/away")
    assert (answer.status_code, answer.data, answer.content_type) == (302, b"", "application/json")
    assert answer.headers["Location"] == "/%C3%BC?x=%20"


def test_other_exceptions_stay_the_applications(site: Site) -> None:
    class Own(Exception):
        pass

    @site.app.errorhandler(Own)
    def handle(error: Own) -> tuple[str, int]:
        return "own", 418

    @site.app.get("/own")
    def own() -> None:
        raise Own

    answer = site.browser().get("~/own")
    assert (answer.status_code, answer.data) == (418, b"own")

"""Which urls can be asked, what of them is shown, and how long to wait; the rest is test_http's."""

import pytest

from goa.errors import SettingsError
from goa.evaluators.connection import ConnectionSettings, seconds_to_wait, shown_url
from goa.settings import validate

TOKEN = "s3cret-token"


@pytest.mark.parametrize(
    "url", ["", "score", "ftp://host/x", "http://", "http://host:port/", "http://[::1/", "//host"]
)
def test_a_url_that_cannot_be_asked_is_refused(url) -> None:
    with pytest.raises(SettingsError, match="url: write http://host:port/path"):
        validate(ConnectionSettings, {"url": url}, "here")


@pytest.mark.parametrize("url", ["http://ho st/", "http://host/\n", "http://host/\x00"])
def test_a_url_with_spaces_is_refused(url) -> None:
    with pytest.raises(SettingsError, match="url: has spaces or control characters"):
        validate(ConnectionSettings, {"url": url}, "here")


def test_a_password_in_the_url_is_refused_unseen() -> None:
    content = {"url": f"https://me:{TOKEN}@host/"}
    with pytest.raises(SettingsError, match="leave out user and password") as told:
        validate(ConnectionSettings, content, "here")
    assert TOKEN not in str(told.value)


@pytest.mark.parametrize("name", ["key", "api_key", "token", "access_token", "sig", "password"])
def test_a_key_in_the_urls_query_is_refused_unseen(name: str) -> None:
    content = {"url": f"https://host/?room=1&{name}={TOKEN}"}
    with pytest.raises(SettingsError, match=r"url: leave out the key.* token_variable") as told:
        validate(ConnectionSettings, content, "here")
    assert TOKEN not in str(told.value)


def test_what_may_be_secret_in_a_url_is_not_shown() -> None:
    assert shown_url(f"https://me:{TOKEN}@host:8/x?k={TOKEN}#{TOKEN}") == "https://host:8/x"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", 0.0),
        ("7", 7.0),
        ("-3", 0.0),
        ("nan", 0.0),
        ("soon", 0.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 10.0),
        ("Thu, 01 Jan 1970 00:00:40 GMT", 0.0),
        ("Thu, 99 Jan 1970 00:00:40 GMT", 0.0),
    ],
)
def test_the_time_to_wait_is_seconds_or_a_date(header, seconds) -> None:
    assert seconds_to_wait(header, now=90.0) == seconds

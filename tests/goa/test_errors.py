"""What a message may show."""

import pytest

from goa.errors import hide_secrets, holds_secret, is_secret

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"postgresql://goa:{SECRET}@db:5432/mlflow", "postgresql://db:5432/mlflow"),
        (
            f"git said: 'https://{SECRET}@host/x.git' is gone",
            "git said: 'https://host/x.git' is gone",
        ),
        (f"(http://a:{SECRET}@h/) and http://b:{SECRET}@i/", "(http://h/) and http://i/"),
        (f"http://a:p@{SECRET}@h/", "http://h/"),
        (
            f"postgresql://db/x?user=goa&password={SECRET}",
            "postgresql://db/x?user=goa&password=***",
        ),
        (f"https://h/x?X-Amz-Signature={SECRET}&b=1", "https://h/x?X-Amz-Signature=***&b=1"),
        (f"https://h/?token={SECRET}", "https://h/?token=***"),
        (f"azure://c/x?sv=1&sig={SECRET}", "azure://c/x?sv=1&sig=***"),
    ],
)
def test_what_is_secret_in_an_address_is_hidden(text: str, expected: str) -> None:
    assert hide_secrets(text) == expected


@pytest.mark.parametrize(
    "text",
    ["sqlite:////home/me/mlflow.db", "me@host: no mail", "s3://goa/dvc?a=b", "tokens=3; key=2", ""],
)
def test_all_else_is_left_as_it_is(text: str) -> None:
    assert hide_secrets(text) == text


@pytest.mark.parametrize(
    "address",
    [
        f"https://me:{SECRET}@host/x.git",
        f"https://{SECRET}@host/x.git",
        f"ssh://git:{SECRET}@host/x.git",
        f"https://host/dvc?sig={SECRET}",
    ],
)
def test_an_address_with_a_password_or_a_key_holds_a_secret(address: str) -> None:
    assert holds_secret(address)


@pytest.mark.parametrize(
    "address", ["git@host:me/x.git", "ssh://git@host/x", "s3://goa/dvc", "[", "http://[", ""]
)
def test_an_address_without_them_holds_none(address: str) -> None:
    assert not holds_secret(address)


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "api_key",
        "OPENAI_API_KEY",
        "apiKey",
        "judge.secret",
        "access_token",
        "auth-token",
    ],
)
def test_a_setting_that_is_called_as_secrets_are_is_one(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name", ["token", "end_token", "max_tokens", "keys", "secretary", "design"]
)
def test_a_setting_that_sounds_like_one_is_none(name: str) -> None:
    assert not is_secret(name)

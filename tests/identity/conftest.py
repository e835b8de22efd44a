"""An issuer with one RSA key, and a clock for what counts seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.identity.oidc import Oidc, SigningKey, issuer


class Seconds:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture(scope="session")
def rsa_key() -> SigningKey:
    return SigningKey.make("first")


@pytest.fixture
def oidc(rsa_key: SigningKey) -> Iterator[Oidc]:
    with issuer(rsa_key) as found:
        yield found

"""The house's signer of links, made once. What may be linked to is decided by who asks for a link."""

from __future__ import annotations

from pipelines.identity.links import Signer
from serving.api.house import House


class Links:
    """``house.one(Links).signer``."""

    def __init__(self, house: House) -> None:
        self.signer = Signer.of(house.settings)

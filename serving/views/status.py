"""What an operator sees at a glance. What waits and failed is pipelines/status.py's."""

from __future__ import annotations

from pipelines.identity.callers import Caller
from serving.api.house import House
from serving.wire.status import Status


def status(house: House, caller: Caller) -> Status:
    raise NotImplementedError

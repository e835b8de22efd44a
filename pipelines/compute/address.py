"""Where work is computed: on this machine, or on a Ray cluster that can reach all that the work reads."""

from __future__ import annotations

from urllib.parse import urlsplit

from pipelines.errors import BadInput
from pipelines.settings import Settings

LOCAL = "local"
VARIABLE = "ORIMONO_COMPUTE"


def cluster_of(settings: Settings, *, database: bool = False) -> str | None:
    """The cluster's address, or None for this machine. ``database``: whether the work needs that, too.

    BadInput for another kind of address, and for stores that only this machine can reach.
    """
    address = settings.compute
    if address in ("", LOCAL):
        return None
    if not _is_ray(address):
        raise BadInput(VARIABLE, f"is {address!r}", "set it to local, or to ray://host:port (Ray's client port, 10001)")
    if not settings.objects_url:
        reason = "is a Ray cluster, but the object store is a folder of this machine"
        raise BadInput(VARIABLE, reason, "set ORIMONO_OBJECTS_URL=s3://bucket/prefix, or ORIMONO_COMPUTE=local")
    if database and not settings.database_url:
        reason = "is a Ray cluster, but PostgreSQL is the embedded server, which only this machine reaches"
        raise BadInput(VARIABLE, reason, "set ORIMONO_DATABASE_URL, or ORIMONO_COMPUTE=local")
    return address


def _is_ray(address: str) -> bool:
    try:
        parts = urlsplit(address)
        plain = not (parts.path or parts.query or parts.fragment or parts.username)
        return parts.scheme == "ray" and bool(parts.hostname) and bool(parts.port) and plain
    except ValueError:  # a port that is none
        return False

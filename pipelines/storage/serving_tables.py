"""Tables of serving: API keys and browser sessions, uploads that are still coming, jobs that came by the API, answers
that are given again, and how fast the API was.

A secret is never kept, only its hash. What the API works on stays in the tables of each system.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from pipelines.storage.schema import Base, identity, now, one_of

ROLES = ("viewer", "editor", "operator", "administrator")
PENDING_STATUSES = ("receiving", "checking", "ready", "refused", "used")


class ApiKey(Base):
    """Who may call with a key, and for what. ``prefix`` names it in logs; ``digest`` is SHA-256 of the whole key."""

    __tablename__ = "api_keys"
    id: Mapped[int] = identity()
    prefix: Mapped[str] = mapped_column(unique=True)
    digest: Mapped[str]
    label: Mapped[str]  # what it is for
    owner: Mapped[str]
    role: Mapped[str]
    scopes: Mapped[list[str]]  # fewer than the role has, or all of them
    created_by: Mapped[str]  # a pseudonym
    created_at: Mapped[datetime] = now()
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    __table_args__ = (one_of("role", ROLES), Index("ix_api_keys_owner", "owner"))


class BrowserSession(Base):
    """A person signed in to the pages: by a key, which is asked anew at each page, or by a token, whose say is kept."""

    __tablename__ = "browser_sessions"
    digest: Mapped[str] = mapped_column(primary_key=True)  # SHA-256 of the cookie
    csrf: Mapped[str]
    key_id: Mapped[int | None] = mapped_column(ForeignKey("api_keys.id", ondelete="CASCADE"))
    owner: Mapped[str]
    role: Mapped[str]
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime] = now()
    expires_at: Mapped[datetime]
    __table_args__ = (
        one_of("role", ROLES),
        Index("ix_browser_sessions_key_id", "key_id"),
        Index("ix_browser_sessions_owner", "owner"),
        Index("ix_browser_sessions_expires_at", "expires_at"),
    )


class PendingUpload(Base):
    """A file that comes in pieces. Its bytes lie in the home until a job takes them."""

    __tablename__ = "pending_uploads"
    id: Mapped[str] = mapped_column(primary_key=True)  # unguessable
    owner: Mapped[str]
    name: Mapped[str]
    kind: Mapped[str]
    size: Mapped[int]  # bytes, as announced
    received: Mapped[int] = mapped_column(server_default="0")  # bytes
    status: Mapped[str] = mapped_column(server_default="receiving")
    error: Mapped[str | None]
    content_hash: Mapped[str | None]
    created_at: Mapped[datetime] = now()
    expires_at: Mapped[datetime]
    __table_args__ = (
        one_of("status", PENDING_STATUSES),
        CheckConstraint("received between 0 and size", name="received"),
        CheckConstraint("(status = 'refused') = (error is not null)", name="error"),
        Index("ix_pending_uploads_owner", "owner"),
        Index("ix_pending_uploads_expires_at", "expires_at"),
    )


class Submission(Base):
    """A job that came by the API: whose it is before the intake has seen it, and the request it came with."""

    __tablename__ = "submissions"
    job_name: Mapped[str] = mapped_column(primary_key=True)  # the folder's in the inbox
    owner: Mapped[str]
    request_id: Mapped[str]  # in the API's log, and a tag of the run
    created_at: Mapped[datetime] = now()
    __table_args__ = (Index("ix_submissions_owner", "owner"),)


class IdempotentAnswer(Base):
    """What a request with an Idempotency-Key was answered, so that the same one is answered the same."""

    __tablename__ = "idempotent_answers"
    caller: Mapped[str] = mapped_column(primary_key=True)  # a pseudonym
    key: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[str]
    status: Mapped[int | None]  # null: under way
    headers: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    body: Mapped[str | None]
    created_at: Mapped[datetime] = now()
    __table_args__ = (Index("ix_idempotent_answers_created_at", "created_at"),)


class ApiTraffic(Base):
    """What one route did in one minute, added up over all processes."""

    __tablename__ = "api_traffic"
    route: Mapped[str] = mapped_column(primary_key=True)  # method and path as documented
    minute: Mapped[datetime] = mapped_column(primary_key=True)
    n: Mapped[int]
    failed: Mapped[int]  # answered 5xx
    refused: Mapped[int]  # answered 4xx
    latency_ms: Mapped[float]  # sum
    latency_counts: Mapped[list[int]] = mapped_column(ARRAY(BigInteger()))  # by models.drift.LATENCY_EDGES_MS
    __table_args__ = (Index("ix_api_traffic_minute", "minute"),)

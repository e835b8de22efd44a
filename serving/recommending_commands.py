"""Commands of recommending: a viewer's list, and a decision that changes it. Arguments are cli.py's."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from pipelines.settings import Settings

if TYPE_CHECKING:
    from pipelines.recommending.serving import Recommendations

Answer = tuple[dict[str, Any], str]


def recommend(arguments: Namespace, settings: Settings) -> Answer:
    from pipelines.recommending.serving import LiveRecommender
    from pipelines.studio import Studio

    with LiveRecommender(Studio.open(settings)) as recommender:
        found = recommender.recommend(
            arguments.user,
            arguments.limit,
            genres=arguments.genre,
            without_genres=arguments.without_genre,
            available=not arguments.unavailable_too,
            diversity=arguments.diversity,
            exploration=arguments.exploration,
            seed=arguments.seed,
        )
    return _list(found)


def decide(arguments: Namespace, settings: Settings) -> Answer:
    from datetime import UTC, datetime

    from pipelines.errors import BadInput
    from pipelines.recommending.serving import LiveRecommender
    from pipelines.studio import Studio

    try:
        at = None if arguments.at is None else datetime.fromisoformat(arguments.at)
    except ValueError as error:
        raise BadInput(repr(arguments.at), "is no moment", "give one such as 2026-11-21T18:30") from error
    if at is not None and at.tzinfo is None:
        at = at.replace(tzinfo=UTC)  # as in tables
    with LiveRecommender(Studio.open(settings)) as recommender:
        recommender.decide(arguments.user, arguments.video, arguments.decision, rating=arguments.rating, at=at)
        found = recommender.recommend(arguments.user, arguments.limit)
    result, text = _list(found)
    return {"decided": arguments.decision, "video": arguments.video, **result}, f"Kept. What comes next:\n{text}"


def embeddings(arguments: Namespace, settings: Settings) -> Answer:
    """Which set serves each version; with --back, the set before it."""
    from pipelines import clock
    from pipelines.errors import BadInput
    from pipelines.models import registry
    from pipelines.recommending import syncing
    from pipelines.recommending.dataset import NAME
    from pipelines.storage import embedding_sets
    from pipelines.studio import Studio
    from serving.people import operator

    studio = Studio.open(settings)
    if arguments.back is not None:
        if not arguments.reason:
            raise BadInput("embeddings", "was not told why", "give --reason: it stands in the audit trail")
        with studio.database.session() as session:
            row = registry.find(session, NAME, arguments.back)
        syncing.roll_back(studio, row, clock.now(), actor=operator().pseudonym, reason=arguments.reason)
    with studio.database.session() as session:
        found = [
            {
                "version": version,
                "set": row.id,
                "users": row.n_users,
                "videos": row.n_videos,
                "index": row.video_index,
                "ready_at": row.ready_at.isoformat() if row.ready_at else None,
                "synced_at": row.detail.get("synced_at"),
                "set_before": previous,
            }
            for version, row, previous in embedding_sets.deployed(session)
        ]
    lines = [
        f"{one['version']:13} set {one['set']}: {one['users']} viewers, {one['videos']} videos, search {one['index']}, "
        f"synced {str(one['synced_at'])[:16]}" + (f", before it set {one['set_before']}" if one["set_before"] else "")
        for one in found
    ]
    return {"embeddings": found}, "\n".join(lines) or "No version has embeddings yet."


def _list(found: Recommendations) -> Answer:
    items = [
        {
            "id": item.video_id,
            "external_id": item.external_id,
            "title": item.title,
            "score": item.score,
            "reason": item.reason,
        }
        for item in found.items
    ]
    result = {
        "items": items,
        "path": found.path,
        "model_version": found.version,
        "fell_back_because": list(found.reasons),
        "latency_ms": round(found.latency_ms, 2),
    }
    lines = [
        f"{rank:3}. {item.title or item.external_id}  ({item.reason})" for rank, item in enumerate(found.items, start=1)
    ]
    lines += [f"({found.path}, version {found.version}, {found.latency_ms:.1f} ms)"]
    lines += [f"({reason})" for reason in found.reasons]
    return result, "\n".join(lines)

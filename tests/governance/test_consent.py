"""Consents are given and taken back one by one, by whom they concern, and that is written down."""

from __future__ import annotations

import pytest

from pipelines.errors import BadInput
from pipelines.governance import consent, withdrawal
from pipelines.governance.people import Actor, pseudonym
from pipelines.storage import audit, consents
from pipelines.studio import Studio
from tests.governance.house import OPERATOR, give

AOI = "aoi@example.org"


def test_training_is_given_and_taken_back(studio: Studio) -> None:
    job = give(studio, "hers", AOI, {"mix-a.wav": b"a" * 50}, training=False, cached=False).job_id
    other = give(studio, "more", AOI.upper(), {"mix-b.wav": b"b" * 50}, training=True, cached=False).job_id
    owner = Actor(AOI, "viewer")
    with studio.database.session() as session:
        assert set(session.execute(consents.trainable_jobs()).scalars()) == {other}
        consent.give(session, owner, job, quality=True, training=True)
        consent.give(session, owner, job, quality=True, training=True)  # said twice is done once
        assert set(session.execute(consents.trainable_jobs()).scalars()) == {job, other}
        consent.give(session, OPERATOR, other, quality=False, training=False)
        assert set(session.execute(consents.trainable_jobs()).scalars()) == {job}
        shown = consent.show(session, f" {AOI.title()}")
        assert [(g.job, g.quality, g.training) for g in shown] == [("hers", True, True), ("more", False, False)]
        (entry,) = audit.of_subject(session, f"job:{job}")
        assert (entry.actor, entry.detail["owner"]) == (pseudonym(AOI), pseudonym(AOI))
        assert entry.detail["after"] == {"quality": True, "training": True}
        with pytest.raises(BadInput, match="is an editor, and this needs an operator"):
            consent.give(session, Actor("ren", "editor"), job, quality=True, training=False)
        with pytest.raises(BadInput, match="job 999: does not exist"):
            consent.give(session, OPERATOR, 999, quality=True, training=True)
        consent.give(session, owner, job, quality=False, training=False)
        assert consents.withdrawn_pseudonyms(session, {pseudonym(AOI)}) == {pseudonym(AOI)}


def test_nothing_is_given_after_a_withdrawal(studio: Studio) -> None:
    job = give(studio, "hers", AOI, {"mix-a.wav": b"a" * 50}, cached=False).job_id
    withdrawal.request(studio, AOI, OPERATOR)
    with pytest.raises(BadInput, match="was withdrawn by its owner"), studio.database.session() as session:
        consent.give(session, Actor(AOI, "viewer"), job, quality=True, training=True)
    with studio.database.session() as session:
        assert not session.execute(consents.trainable_jobs()).all()
        assert [g.withdrawn_at is not None for g in consent.show(session, AOI)] == [True]

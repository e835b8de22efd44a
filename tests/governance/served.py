"""What the API keeps of somebody who uses it: a key, somebody signed in, a file on its way, a job, an answer."""

from __future__ import annotations

from datetime import datetime

from pipelines import clock
from pipelines.governance.people import pseudonym
from pipelines.identity import keys, sessions
from pipelines.intake import receiving
from pipelines.intake.pieces import Piece, folder
from pipelines.storage import submissions
from pipelines.storage.serving_tables import IdempotentAnswer
from pipelines.studio import Studio


def use(studio: Studio, owner: str, words: str, now: datetime | None = None) -> tuple[str, str]:
    """``words``: a mark without spaces, in all that somebody gives or is given here. Returns the key and a cookie."""
    now = now or clock.now()
    with studio.database.session() as session:
        made = keys.make(session, owner, "editor", label=f"of {words}", now=now)
        found = keys.verify(session, made.key, now)
        assert found is not None
        begun = sessions.begin(session, found.caller, now)
        submissions.add(session, f"{words}-a1b2c3", owner, "0123456789abcdef")
        answer = {"name": f"{words}-a1b2c3", "owner": owner}
        session.add(
            IdempotentAnswer(
                caller=pseudonym(owner), key="once", request_hash="ab", status=202, body=str(answer), created_at=now
            )
        )
    row = receiving.announce(studio, owner, name=f"{words}.txt", kind="lyrics", size=1000)
    with Piece(studio, row.id, 0) as piece:
        piece.write(f"half of what {words} sends".encode())
    assert next(folder(studio.settings, row.id).iterdir()).read_bytes()
    return made.key, begun.cookie

"""Commands of keys: making, listing, revoking. Arguments are cli.py's."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from pipelines.errors import BadInput, NotFound
from pipelines.settings import Settings

Answer = tuple[dict[str, Any], str]


def key(arguments: Namespace, settings: Settings) -> Answer:
    """new, list or revoke, by the machine's user, who is an administrator."""
    from pipelines.studio import Studio

    if arguments.step != "revoke" and arguments.id is not None:
        raise BadInput(arguments.id, f"says nothing to key {arguments.step}", "write --owner NAME for a person")
    return _STEPS[arguments.step](arguments, Studio.open(settings))


def _new(arguments: Namespace, studio: Any) -> Answer:
    from datetime import timedelta

    from pipelines import clock
    from pipelines.identity import keys
    from serving.people import operator

    actor, now = operator(), clock.now()
    until = None if arguments.days == 0 else now + timedelta(days=arguments.days)
    scopes = [part for text in arguments.scope for part in text.replace(",", " ").split()]
    with studio.database.session() as session:
        made = keys.make(
            session,
            arguments.owner or actor.name,
            arguments.role,
            label=arguments.label,
            scopes=scopes or None,
            expires_at=until,
            by=actor,
            now=now,
        )
    result = {"id": made.prefix, "key": made.key, "expires_at": until.isoformat() if until else None}
    said = f"works until {until:%Y-%m-%d %H:%M} UTC" if until else "works until it is revoked"
    return result, f"{made.key}\nShown this once, since only its hash is kept; it {said}."


def _list(arguments: Namespace, studio: Any) -> Answer:
    from pipelines import clock
    from pipelines.governance.people import pseudonym
    from pipelines.identity import keys
    from pipelines.storage import api_keys

    now = clock.now()
    with studio.database.session() as session:
        names = None
        if arguments.owner is not None:
            person = pseudonym(arguments.owner)
            names = [name for name in api_keys.owners(session) if pseudonym(name) == person]
        found = api_keys.listed(session, names=names)
    rows = [
        {
            "id": row.prefix,
            "owner": row.owner,
            "role": row.role,
            "scopes": list(row.scopes),
            "label": row.label,
            "status": keys.status(row, now),
            "created_at": row.created_at.isoformat(),
            "expires_at": row.expires_at.isoformat() if row.expires_at else None,
            "last_used_at": row.last_used_at.isoformat() if row.last_used_at else None,
        }
        for row in found
    ]
    lines = [
        f"{row.prefix}  {keys.status(row, now):8} {row.role:14} {row.owner:24} "
        f"used {f'{row.last_used_at:%Y-%m-%d}' if row.last_used_at else 'never':10}  {row.label}".rstrip()
        for row in found
    ]
    return {"keys": rows}, "\n".join(lines) or "There is no key."


def _revoke(arguments: Namespace, studio: Any) -> Answer:
    from pipelines.identity import keys
    from pipelines.storage import api_keys
    from serving.people import operator

    if arguments.id is None:
        raise BadInput("key revoke", "was not told which", "give the eight digits that list shows")
    with studio.database.session() as session:
        row = api_keys.by_prefix(session, arguments.id, locked=True)
        if row is None:
            raise NotFound(f"key {arguments.id}", "does not exist", "see `orimono key list`")
        keys.revoke(session, row, operator())
    return {"id": row.prefix, "status": "revoked"}, f"key {row.prefix} is revoked; within ten seconds it opens nothing"


_STEPS = {"new": _new, "list": _list, "revoke": _revoke}

"""Whether the audit trail is what was written: every row's hash again, and that each follows the one before it.

Rows are written by storage/audit.py and chained by the table itself. A chain that was made anew as a whole, or cut at
its end, is only seen against a head that was noted elsewhere: so note ``head`` where the database's owner cannot write.
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass

from sqlalchemy.orm import Session

from pipelines.errors import BadInput
from pipelines.storage import audit as table

GUARDS = frozenset({"audit_logs_append_only", "audit_logs_chain"})


@dataclass(frozen=True, slots=True)
class Head:
    """The newest row: how many there are, and its hash, which is over all of them."""

    n: int
    hash: str

    def __str__(self) -> str:
        return f"{self.n}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """Reads back ``str(head)``; BadInput for anything else."""
        number, _, digest = text.strip().partition(":")
        if not (number.isascii() and number.isdigit()) or (digest and len(digest) != 64):
            raise BadInput(repr(text), "is no head of an audit trail", "write it as NUMBER:HASH, as it was shown")
        return cls(int(number), digest)


@dataclass(frozen=True, slots=True)
class Verdict:
    ok: bool
    n: int  # rows read
    head: Head  # of what was read
    broken_seq: int | None = None  # the first row that does not fit
    reason: str | None = None

    def __str__(self) -> str:
        if self.ok:
            return f"the audit trail is whole: {self.n} rows, head {self.head}"
        where = f" at row {self.broken_seq}" if self.broken_seq is not None else ""
        return f"the audit trail is broken{where}: {self.reason}"


def head(session: Session) -> Head:
    return Head(*table.head(session))


def verify(session: Session, expected: Head | None = None) -> Verdict:
    """Reads the whole trail in constant memory and recomputes every hash. ``expected``: a head noted earlier, which
    the trail must still contain."""
    number, before = 0, ""
    with contextlib.closing(table.links(session)) as links:
        for link in links:
            reason = _fault(link, number, before)
            if reason is not None:
                return Verdict(False, number, Head(number, before), link.seq, reason)
            number, before = link.seq, link.hash
            if expected is not None and expected.n == number and expected.hash != before:
                reason = "it is another row than the one noted as head: the trail was written anew"
                return Verdict(False, number, Head(number, before), number, reason)
    found = Head(number, before)
    if expected is not None and number < expected.n:
        reason = f"it ends at row {number}, and row {expected.n} was noted as head: its end was cut off"
        return Verdict(False, number, found, number + 1, reason)
    if off := sorted(GUARDS - table.guards(session)):
        return Verdict(False, number, found, None, f"the table's guard {', '.join(off)} is switched off")
    return Verdict(True, number, found)


def _fault(link: table.Link, number: int, before: str) -> str | None:
    """Why this row does not follow row ``number`` with the hash ``before``; None when it does."""
    if link.seq > number + 1:
        missing = link.seq - number - 1
        return f"{'a row is' if missing == 1 else f'{missing} rows are'} missing before it"
    if link.seq <= number:
        return "its number is there twice"
    if link.previous != before:
        return "it does not follow the row before it: that one was changed, or this one put in its place"
    if hashlib.sha256(link.payload.encode()).hexdigest() != link.hash:
        return "its content is not what was written"
    return None

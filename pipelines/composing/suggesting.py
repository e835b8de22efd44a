"""Which instruments a part is offered, and why: tags at first, and more and more what people chose.

What instruments there are is instruments.py's and plugin_scan.py's; their rows are storage/plugins.py's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from pipelines.composing import instruments
from pipelines.composing.piece import ROLES, Role
from pipelines.errors import BadInput
from pipelines.storage import plugins
from pipelines.storage.composing_tables import ARRANGEMENT_STYLES
from pipelines.storage.plugins import Chosen, Described
from pipelines.texts import sayable

PRIOR = 3.0  # choices that the tags weigh as much as
SHARPNESS = 2.0  # of the tags' prior: how far the best matches stand out
OTHER_STYLE = 0.25  # a choice in another style, against one in this
OTHER_PEOPLE = 0.2  # a choice of somebody else, against one's own
MOST_OF_OTHERS = 10.0  # choices of one's own that those of all others weigh as much as, at most
OUT_OF_RANGE = 0.02  # what an instrument keeps of its prior when it does not reach the part's notes
IN_HAND = 1.25  # a plug-in that is installed, against a program of whatever sound font there is


@dataclass(frozen=True, slots=True)
class Suggestion:
    """``score``: 0..1, the expected share of such parts that would get it."""

    plugin: Described
    score: float
    reason: str


def suggest(
    session: Session | None,
    role: Role,
    style: str,
    owner: str | None = None,
    limit: int = 5,
    *,
    pitches: tuple[int, int] | None = None,
) -> list[Suggestion]:
    """Instruments for a part, the best first; without a database, by tags alone.

    The score is the mean of a Dirichlet distribution over the instruments: its prior is how well their tags fit the
    role (and, with ``pitches``, the part's lowest and highest, whether they reach them), its counts are what ``owner``
    chose for such parts and, with less weight, what others did who allow that it is learned from them.
    """
    _known(role, style)
    there = _instruments(session, role)
    prior = {_key(one): _fit(one, role, style, pitches) for one in there}
    whole = sum(prior.values())
    prior = {key: PRIOR * fit / whole for key, fit in prior.items()}
    made = plugins.choices(session, role, owner) if session is not None else []
    own = _counts([one for one in made if one.own], style)
    others = _counts([one for one in made if not one.own], style)
    strangers = min(OTHER_PEOPLE, MOST_OF_OTHERS / max(sum(others.values()), 1e-9))
    mass = {key: p + own.get(key, 0.0) + strangers * others.get(key, 0.0) for key, p in prior.items()}
    total = sum(mass.values())
    order = sorted(there, key=lambda one: (-mass[_key(one)], one.format, one.name, one.identifier))
    first = instruments.default_program(role, style)
    return [
        Suggestion(one, mass[_key(one)] / total, _reason(one, role, style, made, first))
        for one in order[: max(limit, 0)]
    ]


def record_choice(session: Session, owner: str, role: Role, style: str, format: str, identifier: str) -> None:
    """A person gave a part this instrument. BadInput when there is none such, or no such role or style."""
    _known(role, style)
    if not owner.strip() or not sayable(owner):
        raise BadInput("owner", "is empty or not one line of text", "name the person as job.yaml's owner does")
    if format == instruments.FORMAT:
        kind = "kit" if role == "drums" else "program"
        if instruments.named(identifier).kit != (role == "drums"):
            raise BadInput(f"instrument {identifier!r}", f"does not suit {role}", f"choose a {kind}")
    else:
        row = plugins.find(session, format, identifier)
        if row is None or row.status == "failed":
            reason = "is not in the registry" if row is None else f"could not be loaded: {row.error}"
            raise BadInput(f"{format} plug-in {identifier!r}", reason, "scan the plug-in folders, or choose another")
        if row.kind != "instrument":
            raise BadInput(f"{format} plug-in {row.name!r}", "is an effect", "choose an instrument for a part")
    plugins.choose(session, owner=owner, role=role, style=style, format=format, identifier=identifier)


def program_of(suggestions: Sequence[Suggestion], role: Role, style: str) -> int:
    """The General MIDI program (of drums: the kit) of the best suggestion that is one, for the MIDI file."""
    for one in suggestions:
        if one.plugin.format == instruments.FORMAT:
            return instruments.named(one.plugin.identifier).program
    return instruments.default_program(role, style)


def _known(role: str, style: str) -> None:
    if role not in ROLES:
        raise BadInput(f"role {role!r}", "is not known", f"choose one of {', '.join(ROLES)}")
    if style not in ARRANGEMENT_STYLES:
        raise BadInput(f"style {style!r}", "is not known", f"choose one of {', '.join(ARRANGEMENT_STYLES)}")


def _instruments(session: Session | None, role: Role) -> list[Described]:
    general = instruments.kits() if role == "drums" else instruments.programs()
    found = [
        Described(instruments.FORMAT, one.identifier, one.name, "instrument", "General MIDI", tags=one.tags)
        for one in general
    ]
    if session is not None:
        for row in plugins.listed(session, kind="instrument", status="ok"):
            if row.format != instruments.FORMAT:
                tags = tuple(row.tags)
                one = Described(row.format, row.identifier, row.name, row.kind, row.vendor, row.version, tags, row.path)
                found.append(one)
    return found


def _fit(one: Described, role: Role, style: str, pitches: tuple[int, int] | None) -> float:
    wanted = instruments.wanted(role, style)
    weight = max(sum(wanted.get(tag, 0.0) for tag in set(one.tags)), 0.1)
    if one.format != instruments.FORMAT:
        return float((IN_HAND * weight) ** SHARPNESS)
    general = instruments.named(one.identifier)
    if general.program == instruments.default_program(role, style):
        weight = max(weight, *(_most(role, style), 0.1)) * 1.2
    fit = weight**SHARPNESS
    if pitches is not None and not (general.low <= pitches[0] and pitches[1] <= general.high):
        fit *= OUT_OF_RANGE
    return float(fit)


def _most(role: Role, style: str) -> float:
    """The best match of tags that General MIDI has for this role."""
    wanted = instruments.wanted(role, style)
    general = instruments.kits() if role == "drums" else instruments.programs()
    return max(sum(wanted.get(tag, 0.0) for tag in one.tags) for one in general)


def _counts(made: Sequence[Chosen], style: str) -> dict[tuple[str, str], float]:
    counts: dict[tuple[str, str], float] = {}
    for one in made:
        key = (one.format, one.identifier)
        counts[key] = counts.get(key, 0.0) + one.n * (1.0 if one.style == style else OTHER_STYLE)
    return counts


def _reason(one: Described, role: Role, style: str, made: Sequence[Chosen], first: int) -> str:
    mine = [c for c in made if c.own and (c.format, c.identifier) == _key(one)]
    here, elsewhere = (sum(c.n for c in mine if (c.style == style) is same) for same in (True, False))
    if here or elsewhere:
        where = style if here else "another style"
        return f"you chose it {_times(here or elsewhere)} for {role} in {where}"
    n = sum(c.n for c in made if not c.own and (c.format, c.identifier) == _key(one))
    if n:
        return f"others chose it {_times(n)} for {role}"
    if one.format == instruments.FORMAT and instruments.named(one.identifier).program == first:
        return f"the usual choice for {role} in {style}"
    wanted = instruments.wanted(role, style)
    good = sorted((tag for tag in set(one.tags) if wanted.get(tag, 0) > 0), key=lambda tag: (-wanted[tag], tag))
    return f"its tags fit {role}: {', '.join(good[:3])}" if good else f"nothing speaks for or against it for {role}"


def _times(n: int) -> str:
    return {1: "once", 2: "twice"}.get(n, f"{n} times")


def _key(one: Described) -> tuple[str, str]:
    return one.format, one.identifier

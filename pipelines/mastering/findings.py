"""What the checks of a batch ask of its masters: failed items, doubtful alignments, promises that do not hold.

Each finding is a sentence, read back from the store.
"""

from __future__ import annotations

from pipelines import outcomes
from pipelines.errors import BadInput
from pipelines.mastering import job as stages
from pipelines.mastering.batch import load, mastered
from pipelines.mastering.job import version_of
from pipelines.studio import Studio

LOUDNESS_TOLERANCE = 0.2  # LU, between a master and its target


def failures(studio: Studio, key: str, kind: str) -> list[str]:
    """Why items of this step failed, in its present version."""
    return outcomes.failures(studio, key, kind, version_of(kind))


def promises_broken(studio: Studio, key: str) -> list[str]:
    """What does not hold of the batch's masters: the target's loudness and the ceiling, measured on the files now. A
    target that was out of reach, which its warning says, is no broken promise."""
    from pipelines.mastering.mastering import measure_file

    found = []
    work, chosen = mastered(studio, key)
    for w, c in zip(work, chosen, strict=True):
        path, facts = stages.master(w.piece, c.preset, studio.cache)
        after = measure_file(path)
        if after.true_peak > facts.preset.ceiling_dbtp:
            found.append(f"{w.name}: peaks at {after.true_peak:.2f} dBTP, above {facts.preset.ceiling_dbtp:g}")
        missed = abs(after.integrated - facts.settings.target_lufs)
        excused = any("was not reached" in text or "left as it is" in text for text in facts.warnings)
        if missed > LOUDNESS_TOLERANCE and not excused:
            target = facts.settings.target_lufs
            found.append(f"{w.name}: {after.integrated:.2f} LUFS is {missed:.2f} LU off {target:g}")
    return found


def apart(studio: Studio, key: str) -> list[str]:
    """Stems whose alignment is doubtful or failed, with the reasons."""
    found = []
    for w in load(studio, key):
        if w.piece.mix is None:
            try:
                alignment = stages.align(w.piece, studio.cache)
            except BadInput:
                continue  # told as a failed item
            if alignment is not None and alignment.verdict != "ok":
                found.append(f"{w.name}: {alignment.verdict}: {'; '.join(alignment.reasons)}")
    return found

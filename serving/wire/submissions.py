"""What a person asks for with a new job: any job, and the short forms for one system each.

The limits are job.yaml's own (pipelines/intake/job_file.py): these models are made of its parts.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, StrictBool, StringConstraints

from pipelines.intake.job_file import ComposeWish, EditWish, Kind, MasterWish, ScoreWish, Text
from serving.wire.base import Asked
from serving.wire.uploads import UploadId

MOST_FILES = 500
Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
_AS_JSON = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=False)


class JobConsents(Asked):
    """What the owner allows beside the job itself; nothing unless said."""

    quality: StrictBool = False
    training: StrictBool = False


class EditOptions(EditWish):
    """How the edits should be; what is left out is chosen by the product."""

    model_config = _AS_JSON


class MasterOptions(MasterWish):
    """How the master should be; without a preset, the product suggests one."""

    model_config = _AS_JSON


class ScoreOptions(ScoreWish):
    """How the job's sheets should be scored."""

    model_config = _AS_JSON


class ComposeOptions(ComposeWish):
    """How the job's melodies should be arranged."""

    model_config = _AS_JSON


class JobFileWish(Asked):
    """One file of the job. ``kind``, where it is said, must be the one that it was uploaded as."""

    upload: UploadId
    kind: Kind | None = None
    tags: Annotated[tuple[Text, ...], Field(max_length=100)] = ()


class Wanted(Asked):
    """``title`` becomes a part of the job's name; the first file's name unless said. ``owner``: an operator may send a
    job for somebody else."""

    title: Title | None = None
    owner: Text | None = None
    consents: JobConsents = JobConsents()


class JobWish(Wanted):
    """Any job: what job.yaml can say, with uploads in the place of files."""

    files: Annotated[tuple[JobFileWish, ...], Field(min_length=1, max_length=MOST_FILES)]
    bpm: Annotated[float, Field(ge=20, le=400)] | None = None
    key: Annotated[str, StringConstraints(max_length=40)] | None = None
    edit: EditOptions = EditOptions()
    master: MasterOptions = MasterOptions()
    score: ScoreOptions = ScoreOptions()
    compose: ComposeOptions = ComposeOptions()


class EditWanted(Wanted, EditOptions):
    """Beat-cut edits of a song with clips."""

    model_config = _AS_JSON

    music: UploadId
    clips: Annotated[tuple[UploadId, ...], Field(min_length=1, max_length=MOST_FILES - 2)]
    lyrics: UploadId | None = None
    bpm: Annotated[float, Field(ge=20, le=400)] | None = None


class MasterWanted(Wanted, MasterOptions):
    """A master: of a finished ``mix``, or of the stems ``inst`` and ``vocal``."""

    model_config = _AS_JSON

    mix: UploadId | None = None
    inst: UploadId | None = None
    vocal: UploadId | None = None


class AlignmentWanted(Wanted):
    """Two stems, the voice moved to where it belongs; a master comes of it, too."""

    inst: UploadId
    vocal: UploadId


class ArrangementWanted(Wanted, ComposeOptions):
    """Arrangements of a melody (MIDI)."""

    model_config = _AS_JSON

    melody: UploadId


class ScoringWanted(Wanted, ScoreOptions):
    """A sheet's texts, or videos, scored by categories."""

    model_config = _AS_JSON

    sheet: UploadId
    categories: Annotated[tuple[str, ...], Field(min_length=1)]

"""Jobs and what comes of them: files go up, work is asked for, watched, and its results are fetched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from serving.client import uploading, watching
from serving.client.calls import Calls, path
from serving.client.errors import Invalid
from serving.wire.arrangements import Arrangement, Choice
from serving.wire.base import Page
from serving.wire.edits import Edit
from serving.wire.jobs import Job, JobStatus
from serving.wire.masters import Alignment, Master
from serving.wire.presets import Presets
from serving.wire.results import Result, Results
from serving.wire.scoring import Chunk, Retried, ScoringJob
from serving.wire.submissions import (
    AlignmentWanted,
    ArrangementWanted,
    EditWanted,
    JobWish,
    MasterWanted,
    ScoringWanted,
)
from serving.wire.uploads import Upload, UploadStatus


class Work(Calls):
    """Every method is an operation of the API, but for ``upload`` and ``fetch``, which take several."""

    def upload(self, file: Path | str, kind: str, *, watch: uploading.Watch | None = None, seconds: float = 600) -> str:
        """Sends a file in pieces and waits until it has been looked at; the id to name in a wish. ``watch`` is told
        the bytes sent and in all. Invalid, with the API's sentence, for a file that is refused."""
        id_ = uploading.send(self.transport, Path(file), kind, watch=watch)
        found = uploading.judged(self.transport, id_, seconds)
        if found.status == "refused":
            raise Invalid.said(422, found.error or f"{found.name}: was refused")
        return id_

    def fetch(self, result: Result, to: Path | str) -> Path:
        """The file of a result, written to a path, or into a folder under its own name. Its link must be fresh."""
        target = Path(to)
        target = target / result.path.rsplit("/", 1)[-1] if target.is_dir() else target
        part = target.with_name(f".{target.name}.part")
        try:
            with part.open("wb") as file, self.transport.stream(result.url) as response:
                for data in response.iter_bytes():
                    file.write(data)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        return target

    # uploads

    def list_uploads(
        self, *, limit: int | None = None, cursor: str | None = None, status: UploadStatus | None = None
    ) -> Page[Upload]:
        return self._get("/v1/uploads", Page[Upload], limit=limit, cursor=cursor, status=status)

    def get_upload(self, upload_id: str) -> Upload:
        return self._get(path("/v1/uploads/{}", upload_id), Upload)

    def delete_upload(self, upload_id: str) -> None:
        self.transport.ask("DELETE", path("/v1/uploads/{}", upload_id), headers=uploading.TUS)

    # jobs

    def create_job(self, wish: JobWish) -> Job:
        return self._send("POST", "/v1/jobs", Job, wish)

    def create_edit(self, wish: EditWanted) -> Job:
        return self._send("POST", "/v1/edits", Job, wish)

    def create_master(self, wish: MasterWanted) -> Job:
        return self._send("POST", "/v1/masters", Job, wish)

    def create_alignment(self, wish: AlignmentWanted) -> Job:
        return self._send("POST", "/v1/alignments", Job, wish)

    def create_arrangement(self, wish: ArrangementWanted) -> Job:
        return self._send("POST", "/v1/arrangements", Job, wish)

    def create_scoring_job(self, wish: ScoringWanted) -> Job:
        return self._send("POST", "/v1/scoring-jobs", Job, wish)

    def list_jobs(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        owner: str | None = None,
        status: JobStatus | None = None,
    ) -> Page[Job]:
        return self._get("/v1/jobs", Page[Job], limit=limit, cursor=cursor, owner=owner, status=status)

    def get_job(self, name: str) -> Job:
        return self._get(path("/v1/jobs/{}", name), Job)

    def retry_job(self, name: str) -> Job:
        return self._send("POST", path("/v1/jobs/{}/retry", name), Job)

    def watch_job(self, name: str) -> Iterator[Job]:
        """Each new state, until the job has ended."""
        return watching.watch(self.transport, path("/v1/jobs/{}/events", name), Job)

    def list_results(self, name: str) -> Results:
        return self._get(path("/v1/jobs/{}/results", name), Results)

    # edits, masters, arrangements

    def list_edits(self, *, limit: int | None = None, cursor: str | None = None, job: str | None = None) -> Page[Edit]:
        return self._get("/v1/edits", Page[Edit], limit=limit, cursor=cursor, job=job)

    def get_edit(self, job: str, pattern: str) -> Edit:
        return self._get(path("/v1/edits/{}/{}", job, pattern), Edit)

    def list_masters(self, job: str) -> Page[Master]:
        return self._get(path("/v1/masters/{}", job), Page[Master])

    def list_alignments(self, job: str) -> Page[Alignment]:
        return self._get(path("/v1/alignments/{}", job), Page[Alignment])

    def list_presets(self) -> Presets:
        return self._get("/v1/presets", Presets)

    def list_arrangements(
        self, *, limit: int | None = None, cursor: str | None = None, job: str | None = None
    ) -> Page[Arrangement]:
        return self._get("/v1/arrangements", Page[Arrangement], limit=limit, cursor=cursor, job=job)

    def get_arrangement(self, arrangement: int) -> Arrangement:
        return self._get(path("/v1/arrangements/{}", arrangement), Arrangement)

    def choose_arrangement(self, arrangement: int) -> Choice:
        return self._send("POST", path("/v1/arrangements/{}/choose", arrangement), Choice)

    # sheets

    def list_scoring_jobs(
        self, *, limit: int | None = None, cursor: str | None = None, job: str | None = None
    ) -> Page[ScoringJob]:
        return self._get("/v1/scoring-jobs", Page[ScoringJob], limit=limit, cursor=cursor, job=job)

    def get_scoring_job(self, scoring_job: int) -> ScoringJob:
        return self._get(path("/v1/scoring-jobs/{}", scoring_job), ScoringJob)

    def list_chunks(self, scoring_job: int, *, limit: int | None = None, cursor: str | None = None) -> Page[Chunk]:
        return self._get(path("/v1/scoring-jobs/{}/chunks", scoring_job), Page[Chunk], limit=limit, cursor=cursor)

    def retry_scoring_job(self, scoring_job: int) -> Retried:
        return self._send("POST", path("/v1/scoring-jobs/{}/retry", scoring_job), Retried)

    def watch_scoring_job(self, scoring_job: int) -> Iterator[ScoringJob]:
        """Each new state, until the sheet is scored or cannot be."""
        return watching.watch(self.transport, path("/v1/scoring-jobs/{}/events", scoring_job), ScoringJob)

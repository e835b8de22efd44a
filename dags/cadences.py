"""When things happen, as plain data: the single source for every scheduler that runs Orimono.

Only the standard library is imported here: Airflow reads this file, too, in an environment without Dagster.
"""

from __future__ import annotations

from dataclasses import dataclass

TOKYO = "Asia/Tokyo"


@dataclass(frozen=True, slots=True)
class Cadence:
    """Assets that are made anew at fixed times. Dagster has a job of this name, whoever starts it."""

    name: str
    cron: str
    time_zone: str
    selection: str  # Dagster's asset selection syntax
    description: str
    heavy: bool = False  # fills all cores, so it waits for other such runs
    hours: float = 2.0  # the longest that a run may take


@dataclass(frozen=True, slots=True)
class Lookout:
    """Runs that are asked for when there is something to do. Dagster looks every few seconds, by the sensor; Airflow
    asks the same sensor at these times."""

    name: str
    cron: str
    time_zone: str
    sensor: str
    description: str
    hours: float = 6.0  # the longest that a run may take, its wait for others included


CADENCES = (
    Cadence(
        name="daily_health",
        cron="0 7 * * *",
        time_zone=TOKYO,
        selection='key:"batch_health"',
        description="Looks every morning whether a batch is left failed or unfinished, and says which and why.",
    ),
    Cadence(
        name="weekly_retraining",
        cron="0 4 * * 0",
        time_zone=TOKYO,
        selection='key:"mastering_corpus"+ or key:"interactions"+ or +key:"harmonizer_release"',
        description="Gathers the labels, trains, checks and registers every model anew, and gives it to 5 % of the "
        "users.",
        heavy=True,
        hours=24.0,
    ),
    Cadence(
        name="embedding_sync",
        cron="30 2 * * *",
        time_zone=TOKYO,
        selection='key:"user_embeddings" or key:"video_embeddings" or key:"recommendations"',
        description="Moves what has changed of viewers and videos into the embeddings of every version in use, and "
        "makes everybody's lists anew.",
        heavy=True,
        hours=12.0,
    ),
    Cadence(
        name="promotion_check",
        cron="*/15 * * * *",
        time_zone=TOKYO,
        selection='key:"model_rollouts"',
        description="Measures the versions in use; promotes a candidate that behaves, takes back one that does not.",
    ),
    Cadence(
        name="hourly_retention",
        cron="20 * * * *",
        time_zone=TOKYO,
        selection='key:"withdrawals" or key:"retention" or key:"storage_use" or key:"audit_trail"',
        description="Deletes what was withdrawn or has expired, measures the store, verifies the audit trail.",
        hours=6.0,
    ),
    Cadence(
        name="nightly_upkeep",
        cron="10 3 * * *",
        time_zone=TOKYO,
        selection='key:"run_history" or key:"object_garbage" or key:"database_upkeep" or key:"house_backup"',
        description="Deletes runs of long ago and objects that nothing refers to, vacuums, and makes the backup.",
        hours=6.0,
    ),
    Cadence(
        name="service_level_check",
        cron="*/5 * * * *",
        time_zone=TOKYO,
        selection='key:"service_levels"',
        description="Measures whether what is promised of the API, the models and deletions is kept, and tells what is "
        "not.",
    ),
)

LOOKOUTS = (
    Lookout(
        name="chunk_retries",
        cron="* * * * *",
        time_zone=TOKYO,
        sensor="score_chunks_due",
        description="Starts the runs of the chunks of sheets that were never scored, of failed ones when their wait "
        "is over, and of the sheets that are ready to be written.",
    ),
)

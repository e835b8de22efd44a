"""Checks of scoring: whether every sheet could be read, and whether what was written is whole.

What must hold is said in pipelines/scoring.
"""

import dagster as dg

from assets.checks import Find, check_of


def _find(name: str) -> Find:
    def find(studio: object, key: str) -> list[str]:
        from pipelines.scoring import findings

        found: list[str] = getattr(findings, name)(studio, key)
        return found

    return find


def scoring_checks() -> list[dg.AssetChecksDefinition]:
    return [
        check_of(
            "score_jobs",
            "every_sheet_read",
            "Every sheet of the batch could be read and has the column to score.",
            _find("unread"),
            warn=True,
        ),
        check_of(
            "score_chunks",
            "every_row_recorded",
            "Of every finished chunk as many rows are recorded as it has.",
            _find("unrecorded"),
        ),
        check_of(
            "scored_sheets",
            "every_row_scored",
            "Read back from what was written: each row with a text has a score in every category.",
            _find("unscored"),
        ),
        check_of(
            "scored_sheets",
            "few_fallbacks",
            "At most one row in fifty got the middle of the scale because no valid answer came.",
            _find("fallbacks"),
            warn=True,
        ),
    ]

"""Checks of recommending: what may be learned from, who may be rolled out, whether what is served is what was learned.

What must hold is said in pipelines/recommending.
"""

import dagster as dg

from assets.checks import Find, check_of


def _find(name: str) -> Find:
    def find(studio: object, key: str) -> list[str]:
        from pipelines.recommending import findings

        found: list[str] = getattr(findings, name)(studio)
        return found

    return find


def _failures(studio: object, key: str) -> list[str]:
    from pipelines.recommending import batch

    return batch.failures(studio, key)


def recommending_checks() -> list[dg.AssetChecksDefinition]:
    same = "On a sample, database and model say the same; every row is counted, every vector has length 1."
    return [
        check_of(
            "decisions",
            "every_table_read",
            "Every table of the batch could be read. Rows that were refused are counted in the asset's metadata.",
            _failures,
            warn=True,
        ),
        check_of(
            "interactions",
            "fit_to_learn_from",
            "Great Expectations over the events, read back from their file: whole, in order, of known videos, none "
            "twice, from several viewers.",
            _find("interactions"),
            blocking=True,
        ),
        check_of(
            "recommendation_features",
            "plausible",
            "Every feature is finite, and viewers are told apart.",
            _find("features"),
            blocking=True,
        ),
        check_of(
            "two_tower_candidate",
            "exported_as_trained",
            "The ONNX towers answer as Keras does, within 1e-4.",
            _find("parity"),
            blocking=True,
        ),
        check_of(
            "recommendation_report",
            "may_be_rolled_out",
            "By each viewer's last choice it ranks better than what was popular lately, beyond chance; by the last "
            "days it is at least level with it; and it is not below the version that serves now, beyond chance.",
            _find("against_the_bars"),
            blocking=True,
        ),
        check_of(
            "recommendation_report",
            "enough_to_judge_by",
            "Enough viewers came back in the last days to be judged by time as well.",
            _find("doubts"),
            warn=True,
        ),
        check_of(
            "two_tower_release",
            "artefact_intact",
            "The newest version's user tower and the towers beside it are those of their hashes, and load.",
            _find("broken_artefacts"),
        ),
        check_of("user_embeddings", "as_the_model_says", same, _find("user_embeddings"), blocking=True),
        check_of("video_embeddings", "as_the_model_says", same, _find("video_embeddings"), blocking=True),
        check_of(
            "two_tower_rollout",
            "embeddings_whole",
            "Every version that serves somebody has a whole set of embeddings.",
            _find("versions_without_embeddings"),
        ),
        check_of(
            "recommendations",
            "lists_hold",
            "Every list is full while there are videos left, names none twice and none that its viewer has decided on.",
            _find("broken_lists"),
        ),
    ]

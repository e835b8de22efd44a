"""Checks of mastering and of models: doubtful stems, promises of a master, sets to learn from, candidates to release.

What must hold is said in pipelines/mastering and pipelines/models.
"""

from collections.abc import Sequence

import dagster as dg

from assets.checks import Find, check_of
from assets.models import MASTERING_TASKS
from pipelines.studio import Studio

MASTERED = ("alignments", "mastering_features", "masters", "previews", "waveforms", "mastering_labels")


def _failures(asset: str) -> Find:
    def find(studio: Studio, key: str) -> Sequence[str]:
        from pipelines.mastering import findings

        return findings.failures(studio, key, asset)

    return find


def _apart(studio: Studio, key: str) -> Sequence[str]:
    from pipelines.mastering import findings

    return findings.apart(studio, key)


def _promises(studio: Studio, key: str) -> Sequence[str]:
    from pipelines.mastering import findings

    return findings.promises_broken(studio, key)


def _training_set(studio: Studio, key: str) -> Sequence[str]:
    from pipelines.mastering import learning

    return learning.problems(studio)


def _problems(task: str) -> Find:
    def find(studio: Studio, key: str) -> Sequence[str]:
        from pipelines.mastering import tasks
        from pipelines.models import candidates

        return candidates.problems(studio, tasks.get(task))

    return find


def _doubts(task: str) -> Find:
    def find(studio: Studio, key: str) -> Sequence[str]:
        from pipelines.mastering import tasks
        from pipelines.models import candidates

        return candidates.doubts(studio, tasks.get(task))

    return find


def _corpus(studio: Studio, key: str) -> Sequence[str]:
    from pipelines.mastering import learning

    return learning.missing_items(studio)


def _artefacts(task: str | None) -> Find:
    def find(studio: Studio, key: str) -> Sequence[str]:
        from pipelines.models import overview

        return overview.broken_artefacts(studio, task)

    return find


def _governance(name: str) -> Find:
    def find(studio: Studio, key: str) -> Sequence[str]:
        from pipelines.governance import findings

        found: Sequence[str] = getattr(findings, name)(studio)
        return found

    return find


def _service_levels(studio: Studio, key: str) -> Sequence[str]:
    from pipelines import service_levels

    return service_levels.problems(service_levels.measure(studio))


def operation_checks() -> list[dg.AssetChecksDefinition]:
    return [check_of("service_levels", "kept", "No promise is broken.", _service_levels, warn=True)]


def governance_checks() -> list[dg.AssetChecksDefinition]:
    return [
        check_of("withdrawals", "in_time", "Nobody waits longer than 24 hours.", _governance("overdue_withdrawals")),
        check_of("retention", "nothing_overdue", "Nothing whose time is up is left.", _governance("expired_items")),
        check_of("storage_use", "room_left", "Below 80 % of the budget.", _governance("fullness"), warn=True),
        check_of("audit_trail", "whole", "No row was changed, lost, swapped or cut off.", _governance("broken_trail")),
    ]


def model_checks() -> list[dg.AssetChecksDefinition]:
    done = "Every item was good. A failed one is left out; its line says why and what to do."
    return [
        *(check_of(asset, "every_item_done", done, _failures(asset), warn=True) for asset in MASTERED),
        check_of("alignments", "stems_belong_together", "Each pair of stems lies together.", _apart, warn=True),
        check_of(
            "masters",
            "promises_kept",
            "Measured on the files: loudness within 0.2 LU of the target, no true peak above the ceiling.",
            _promises,
        ),
        check_of("mastering_corpus", "every_item_made", "All items could be made.", _corpus, warn=True),
        *(
            check_of(
                f"{task}_release",
                "artefact_intact",
                "The newest version's bytes are those of its hash, load, and have the shapes of its row.",
                _artefacts(task),
            )
            for task in MASTERING_TASKS
        ),
        check_of(
            "model_rollouts",
            "versions_load",
            "Every version that serves somebody can be loaded from the store.",
            _artefacts(None),
        ),
        check_of(
            "mastering_training_set",
            "fit_to_learn_from",
            "Great Expectations over each training set, read back from its file: finite, varied, whole.",
            _training_set,
            blocking=True,
        ),
        *(
            check_of(
                f"{task}_candidate",
                "better_than_its_baselines",
                "On rows of recordings it has not learned from, the model beats the mean, median or majority, and its "
                "ONNX file answers as the model does.",
                _problems(task),
                blocking=True,
            )
            for task in MASTERING_TASKS
        ),
        *(
            check_of(
                f"{task}_candidate",
                "no_worse_than_live",
                "Its figures are not below those that the live version had.",
                _doubts(task),
                warn=True,
            )
            for task in MASTERING_TASKS
        ),
    ]

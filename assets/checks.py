"""Asset checks: whether what a batch made may be used. What must hold is said in pipelines/validation and quality.py.

Items that failed were left out and never block the others; a blocking check stops what nothing should ever contain.
"""

from collections.abc import Callable, Sequence

import dagster as dg

from assets.presentation import cell
from assets.retrying import failures_told_apart
from pipelines.studio import Studio

Find = Callable[[Studio, str], Sequence[str]]
TOLD_AGAIN_S = 20 * 3600.0


def check_of(
    asset: str,
    name: str,
    description: str,
    find: Find,
    *,
    blocking: bool = False,
    warn: bool = False,
    suite: str | None = None,
    tell: bool = False,
) -> dg.AssetChecksDefinition:
    """A check that passes when ``find`` (studio, partition key or "") finds nothing; its sentences become the check's.

    ``suite`` names the Great Expectations suite whose Data Docs the check links to. ``tell``: a failure is an alarm,
    once a night; for what nobody may find out of only when it is needed.
    """
    severity = dg.AssetCheckSeverity.WARN if warn else dg.AssetCheckSeverity.ERROR

    @dg.asset_check(asset=asset, name=name, description=description, blocking=blocking)
    def check(context: dg.AssetCheckExecutionContext, studio: dg.ResourceParam[Studio]) -> dg.AssetCheckResult:
        keys = partitions_of(context)
        with failures_told_apart():
            problems = [_of(key, problem, keys) for key in keys or ("",) for problem in find(studio, key)]
        if tell and problems:
            _tell(studio, name, problems)
        metadata: dict[str, dg.MetadataValue] = {
            "problems": dg.MetadataValue.int(len(problems)),
            "list": dg.MetadataValue.md("\n".join(f"- {cell(p)}" for p in problems[:100]) or "none"),
        }
        if suite is not None:
            metadata["data_docs"] = _docs(studio, suite, keys)
        return dg.AssetCheckResult(
            passed=not problems,
            severity=severity,
            description="; ".join(problems[:3]) or None,
            metadata=metadata,
        )

    return check


def partitions_of(context: dg.AssetCheckExecutionContext) -> Sequence[str]:
    """The partitions of the run, one or several; none of an asset without."""
    return context.partition_keys if context.has_partition_key or context.has_partition_key_range else ()


def _of(key: str, problem: str, keys: Sequence[str]) -> str:
    return f"{key}: {problem}" if len(keys) > 1 else problem


def _tell(studio: Studio, name: str, problems: Sequence[str]) -> None:
    from pipelines.notifier import Notifier

    notifier = Notifier(studio.settings, studio.database)
    notifier.send("alarms", f"A check failed: {name}", problems[:3], f"check/{name}", TOLD_AGAIN_S)


def _docs(studio: Studio, suite: str, keys: Sequence[str]) -> dg.MetadataValue:
    """The page of the batch; of several, the folder with a folder for each."""
    from pipelines.editing import findings

    folder = findings.docs(studio, suite, keys[0])
    return dg.MetadataValue.path(folder / "index.html" if len(keys) == 1 else folder.parent)


def _items_done(asset: str) -> dg.AssetChecksDefinition:
    def find(studio: Studio, key: str) -> Sequence[str]:
        from pipelines.editing import findings

        return findings.failures(studio, key, asset)

    description = "Every item was good. A failed one is left out; its line says why and what to do."
    return check_of(asset, "every_item_done", description, find, warn=True)


def _bad_uploads(studio: Studio, key: str) -> Sequence[str]:
    from pipelines.editing import findings

    return findings.bad_uploads(studio, key)


def problems_of(asset: str) -> Find:
    def find(studio: Studio, key: str) -> Sequence[str]:
        from pipelines.editing import findings

        return findings.problems(studio, key, asset)

    return find


def feature_store(studio: Studio, key: str) -> Sequence[str]:
    from pipelines.editing import findings

    return findings.check_feature_store(studio, key)


def shared_suite(studio: Studio, key: str) -> Sequence[str]:
    from pipelines.editing import findings

    return findings.check_shared_features(studio, key)


def _gates(studio: Studio, key: str) -> Sequence[str]:
    from pipelines.editing import findings

    return findings.failed_gates(studio, key)


def _alike(studio: Studio, key: str) -> Sequence[str]:
    from pipelines.editing import findings

    return findings.alike_patterns(studio, key)


def editing_checks() -> list[dg.AssetChecksDefinition]:
    analysed = ("music_features", "video_features", "lyrics_features")
    worked = (*analysed, "shared_features", "edit_patterns", "edit_renders", "edit_quality")
    return [
        check_of("uploads", "every_upload_good", "No file of the batch was refused.", _bad_uploads, warn=True),
        *(_items_done(asset) for asset in worked),
        *(
            check_of(
                asset, "plausible", "Shapes fit, values are finite and in range.", problems_of(asset), blocking=True
            )
            for asset in analysed
        ),
        check_of(
            "music_features",
            "feature_store_suite",
            "Great Expectations over the feature vectors of the batch; its Data Docs lie in the home's data_docs.",
            feature_store,
            blocking=True,
            suite="feature_store",
        ),
        check_of(
            "shared_features",
            "shared_features_suite",
            "Great Expectations over the shared features of the batch; its Data Docs lie in the home's data_docs.",
            shared_suite,
            blocking=True,
            suite="shared_features",
        ),
        check_of(
            "edit_patterns",
            "plans_whole",
            "Each cut list fills its frames exactly, stays inside its clips and shows nothing twice.",
            problems_of("edit_patterns"),
            blocking=True,
        ),
        check_of(
            "edit_patterns",
            "patterns_differ",
            "The patterns of a job use their material differently.",
            _alike,
            warn=True,
        ),
        check_of(
            "edit_quality",
            "gates",
            "What was measured on each MP4: exact frames, sound and picture alike long, planned cuts and no others, "
            "nothing repeated, black or frozen.",
            _gates,
        ),
    ]

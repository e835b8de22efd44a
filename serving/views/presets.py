"""The presets that a master may be asked for."""

from __future__ import annotations

from serving.wire.presets import Preset, Presets


def list_presets() -> Presets:
    from pipelines.mastering import presets

    suggested = presets.suggestible()
    return Presets(
        items=tuple(
            Preset(
                name=one.name,
                title=one.title,
                intent=one.intent,
                target_lufs=one.target_lufs,
                ceiling_dbtp=one.ceiling_dbtp,
                suggested=one.name in suggested,
            )
            for one in presets.presets().values()
        )
    )

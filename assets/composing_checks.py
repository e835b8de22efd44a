"""Checks of composing: whether the corpus and the model may be used, whether every melody came back untouched.

What must hold is said in pipelines/composing.
"""

import dagster as dg

from assets.checks import Find, check_of


def _of_model(name: str) -> Find:
    def find(studio: object, key: str) -> list[str]:
        from pipelines.composing import learning

        found: list[str] = getattr(learning, name)(studio)
        return found

    return find


def _of_batch(name: str) -> Find:
    def find(studio: object, key: str) -> list[str]:
        from pipelines.composing import findings

        found: list[str] = getattr(findings, name)(studio, key)
        return found

    return find


def composing_checks() -> list[dg.AssetChecksDefinition]:
    return [
        check_of(
            "chorale_corpus",
            "whole",
            "All chorales of the split are there, in four voices within their ranges, and none is in two parts of it.",
            _of_model("corpus_problems"),
            blocking=True,
        ),
        check_of(
            "harmonizer_model",
            "exported_as_trained",
            "The ONNX network answers as Keras does, within 1e-4.",
            _of_model("parity_problems"),
            blocking=True,
        ),
        check_of(
            "harmonizer_report",
            "may_be_rolled_out",
            "On chorales it never saw it is above every reference, beyond chance; its parallels are within bounds; and "
            "it is not below the version that serves now, beyond chance.",
            _of_model("release_problems"),
            blocking=True,
        ),
        check_of(
            "harmonizer_report",
            "no_doubts",
            "Nothing about the candidate is doubtful that is no reason to hold it back.",
            _of_model("doubts"),
            warn=True,
        ),
        check_of(
            "harmonizer_release",
            "artefact_intact",
            "The newest version's files are those of their hashes, and load.",
            _of_model("broken_artefacts"),
        ),
        check_of(
            "accompaniments",
            "every_melody_arranged",
            "Every melody of the batch could be read and arranged.",
            _of_batch("failures"),
            warn=True,
        ),
        check_of(
            "accompaniments",
            "melody_untouched",
            "Read back from the files: in every arrangement the melody has the pitches and the times it came with.",
            _of_batch("melodies_changed"),
        ),
        check_of(
            "accompaniments",
            "few_parallels",
            "In chorales, at most two parallel fifths or octaves in 100 changes of chord.",
            _of_batch("parallels"),
            warn=True,
        ),
    ]

"""The three questions that mastering's models answer. How a model is learned is left to pipelines/models."""

from __future__ import annotations

from pipelines.errors import BadInput
from pipelines.models.training_set import Task

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            "master_reg",
            "regression",
            ("low_shelf_db", "high_shelf_db", "comp_db", "target_lufs"),  # labelling.TARGETS
            ("dB", "dB", "dB", "LUFS"),
            "mix",
            "Settings of the mastering chain",
        ),
        Task("preset_cls", "classification", (), (), "mix", "Preset that suits a mix"),
        Task("align_conf", "classification", (), (), "vocal", "Whether an alignment is right"),
    )
}


def get(name: str) -> Task:
    """The task of that name. Raises BadInput, naming the choices."""
    if name not in TASKS:
        raise BadInput(name, "there is no such task", f"choose one of {', '.join(TASKS)}")
    return TASKS[name]

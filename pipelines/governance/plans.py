"""What a withdrawal deletes, counted and told. How it is found and carried out is withdrawal.py's."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a withdrawal deletes, and what it leaves and why."""

    person: str  # pseudonym
    rows: dict[str, int]  # table -> rows
    objects: tuple[tuple[str, int], ...]  # key, bytes
    files: tuple[tuple[str, int], ...]  # path below the home, bytes
    snapshots: tuple[int, ...]  # training snapshots that hold rows of theirs
    shared: tuple[str, ...]  # objects that stay: another person gave the same content
    kept: tuple[str, ...]  # objects that stay: originals left with us, or under a legal hold
    held: tuple[int, ...]  # vault items under a legal hold
    batches: tuple[str, ...]  # whose records in the orchestrator name the jobs
    sheets: tuple[int, ...] = ()  # score jobs, whose runs' records do, too

    def summary(self) -> dict[str, Any]:
        """Counts by kind, without a name, a key or a hash."""
        objects: dict[str, dict[str, int]] = {}
        for key, size in self.objects:
            kind = "/".join(key.split("/")[: 2 if key.startswith("features/") else 1])
            before = objects.get(kind, {"n": 0, "bytes": 0})
            objects[kind] = {"n": before["n"] + 1, "bytes": before["bytes"] + size}
        files = Counter(path.split("/")[0] for path, _ in self.files)
        return {
            "rows": self.rows,
            "objects": objects,
            "files": dict(sorted(files.items())),
            "snapshots": list(self.snapshots),
            "shared": len(self.shared),
            "kept": len(self.kept),
            "held": list(self.held),
            "batches": list(self.batches),
            "sheets": list(self.sheets),
        }

    def lines(self) -> list[str]:
        """One line a thing, for a person to read."""
        return [
            *(f"delete {n} rows of {table}" for table, n in sorted(self.rows.items())),
            *(f"delete {key} ({size} bytes)" for key, size in self.objects),
            *(f"delete {path} ({size} bytes)" for path, size in self.files),
            *(f"erase training snapshot {snapshot}" for snapshot in self.snapshots),
            *(f"leave {key}: another person gave the same content" for key in self.shared),
            *(f"leave {key}: it was left with us or is under a legal hold" for key in self.kept),
        ]

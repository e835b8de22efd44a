"""What the code location offers, pinned: a change here is a change that users of the Dagster UI see.

`python -m tests.test_definitions` writes definitions.json anew; read the difference before it is committed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg

from dags.cadences import CADENCES
from definitions import build_defs

SNAPSHOT = Path(__file__).with_name("definitions.json")
HEAVY = {
    "cv2",
    "sqlalchemy",
    "alembic",
    "ray",
    "pyarrow",
    "great_expectations",
    "numpy",
    "obstore",
    "onnxruntime",
    "pandas",
    "sudachipy",
    "opentimelineio",
    "av",
    "tensorflow",
    "librosa",
    "safetensors",
    "lightgbm",
    "keras",
    "joblib",
    "scipy",
    "matplotlib",
    "sklearn",
}


def described() -> dict[str, Any]:
    definitions = build_defs()
    graph = definitions.resolve_asset_graph()
    return {
        "assets": {
            key.to_user_string(): {
                "group": node.group_name,
                "parents": sorted(k.to_user_string() for k in node.parent_keys),
                "kinds": sorted(node.kinds),
                "owners": sorted(node.owners),
                "partitions": getattr(node.partitions_def, "name", None),
                "code_version": node.code_version,
            }
            for key in sorted(graph.get_all_asset_keys())
            for node in [graph.get(key)]
        },
        "checks": {
            f"{key.asset_key.to_user_string()}.{key.name}": graph.get_check_spec(key).blocking
            for key in sorted(graph.asset_check_keys, key=str)
        },
        "jobs": sorted(j.name for j in definitions.jobs or []),
        "schedules": {s.name: [s.cron_schedule, s.execution_timezone] for s in definitions.schedules or []},
        "sensors": {s.name: s.minimum_interval_seconds for s in definitions.sensors or []},
        "resources": sorted(definitions.resources or {}),
    }


def test_definitions_are_those_of_the_snapshot() -> None:
    assert described() == json.loads(SNAPSHOT.read_text())


def test_definitions_load_and_validate() -> None:
    dg.Definitions.validate_loadable(build_defs())


def test_every_asset_says_what_it_is() -> None:
    graph = build_defs().resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description, key
        assert len(node.description) > 60, key
        assert node.kinds, key
        assert node.owners, key


def test_every_data_asset_has_a_check() -> None:
    graph = build_defs().resolve_asset_graph()
    checked = {key.asset_key for key in graph.asset_check_keys}
    assert {k.to_user_string() for k in graph.get_all_asset_keys() - checked} == {"batch_health", "incremental_models"}


def test_overrides_replace_whole_arguments() -> None:
    assert build_defs(sensors=[]).sensors == []


def test_the_cadences_are_all_the_schedules_there_are() -> None:
    assert [s.name for s in build_defs().schedules or []] == [c.name for c in CADENCES]


def test_loading_imports_no_heavy_library() -> None:
    code = "import sys, definitions; definitions.build_defs().resolve_job_def('batch'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY & set(done.stdout.split()) == set()


def test_rooms_import_one_way() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--contract", "rooms", "--contract", "frameworks"],
        capture_output=True,
        text=True,
        cwd=SNAPSHOT.parents[1],
    )
    assert done.returncode == 0, done.stdout


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(described(), indent=1) + "\n")

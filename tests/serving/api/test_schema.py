"""The API against its own OpenAPI document, by schemathesis: whatever is sent, no failure of the server's, and nothing
that the document does not say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.mastering.training_set import FEATURE_VERSION
from pipelines.settings import Settings
from serving.api.app import create_app
from serving.api.house import House
from serving.api.predictors import Predictors
from tests.models import built
from tests.serving.api import work
from tests.serving.api.conftest import Running

FUZZING = Path(__file__).parent / "fuzzing"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A fuzzer is refused more often than anybody."""
    import dataclasses

    return dataclasses.replace(settings, api_refusals_per_second="100000")


@pytest.fixture
def lived_in(house: House) -> House:
    """Something of everything is there to be found."""
    work.mastered(house, "dance", "ada")
    work.arranged(house, "tune", "ada")
    work.opinions(house, "opinions", "ada", rows=600)
    built.begun(house.studio, built.linear(), feature_version=FEATURE_VERSION)
    built.begun(house.studio, built.linear(classes=("a", "b", "c")), name="preset_cls", feature_version=FEATURE_VERSION)
    for name in (built.NAME, "preset_cls"):
        house.one(Predictors).get(name).refresh()
    return house


@pytest.mark.timeout(900)
def test_nothing_fails_and_nothing_is_undocumented(server: Running, lived_in: House, tmp_path: Path) -> None:
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(FUZZING / "schemathesis.toml")),
        *(
            "run",
            f"{server.url}/openapi.json",
            "--header",
            f"Authorization: Bearer {server.key('administrator', 'ada')}",
        ),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", "5", "--seed", "1", "--no-shrink"),
        *("--continue-on-failure", "--warnings", "off", "--suppress-health-check", "all"),
    ]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "pieces", "PYTHONPATH": str(FUZZING), "NO_COLOR": "1"}

    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=850)

    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
    selected, tested = (re.search(rf"{word}: (\d+)", done.stdout) for word in ("Selected", "Tested"))
    assert selected is not None and tested is not None, done.stdout[-3000:]
    document = create_app(server.house.settings, server.house).openapi()
    assert int(selected[1]) == int(tested[1]) == sum(len(methods) for methods in document["paths"].values())

"""The entry point of the image: `python -m serving.container COMMAND...` readies a home, tells Dagster's programs where
their storage is and which settings a container a run is to have, and becomes the command.

The address of that storage holds the password, which containers are given by file: it is made here, so that no image,
no compose file and no `docker inspect` shows it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence

from pipelines.errors import BadInput, OrimonoError
from pipelines.settings import load

CONTEXT = "DAGSTER_CONTAINER_CONTEXT"  # what a code server tells launchers of its container
PASSED_ON = ("ORIMONO_", "OPENAI_", "GEMINI_", "AWS_")  # what pipelines/settings.py and the object store read


def main(command: Sequence[str]) -> None:
    """Does not return. Exits with 2 and one sentence for wrong settings, with 1 when the database does not answer."""
    if not command:
        print("usage: python -m serving.container COMMAND [ARGUMENT...]", file=sys.stderr)
        sys.exit(2)
    try:
        environment = {**_context(os.environ), **os.environ, **_needed()}
    except OrimonoError as error:
        print(error, file=sys.stderr)
        sys.exit(2 if isinstance(error, BadInput) else 1)
    try:
        os.execvpe(command[0], list(command), environment)  # noqa: S606
    except OSError as error:
        print(f"{command[0]}: cannot be started ({error.strerror})", file=sys.stderr)
        sys.exit(127)


def _context(environ: Mapping[str, str]) -> dict[str, str]:
    """Names of the settings that are given here: Docker's launcher gives each run the same, by values of its own
    environment. A list in its configuration would lack what a studio adds, or refuse to launch for what it leaves out.
    Dagster stores it with each run, so it tells no value."""
    names = sorted(name for name in environ if name.startswith(PASSED_ON))
    return {CONTEXT: json.dumps({"docker": {"env_vars": names}})}


def _needed() -> dict[str, str]:
    from pipelines.storage.database import Database
    from resources import instance

    settings = load()
    settings.inbox.mkdir(parents=True, exist_ok=True)
    if folder := os.environ.get("TMPDIR"):
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103
    database = Database(settings)
    try:
        return instance.environment(settings, database, os.environ)
    finally:
        database.dispose()


if __name__ == "__main__":
    main(sys.argv[1:])

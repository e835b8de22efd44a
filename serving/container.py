"""The entry point of the image: `python -m serving.container COMMAND...` readies a home, tells Dagster's programs where
their storage is, and becomes the command.

The address of that storage holds the password, which containers are given by file: it is made here, so that no image,
no compose file and no `docker inspect` shows it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from pipelines.errors import BadInput, OrimonoError
from pipelines.settings import load


def main(command: Sequence[str]) -> None:
    """Does not return. Exits with 2 and one sentence for wrong settings, with 1 when the database does not answer."""
    if not command:
        print("usage: python -m serving.container COMMAND [ARGUMENT...]", file=sys.stderr)
        sys.exit(2)
    try:
        environment = {**os.environ, **_needed()}
    except OrimonoError as error:
        print(error, file=sys.stderr)
        sys.exit(2 if isinstance(error, BadInput) else 1)
    try:
        os.execvpe(command[0], list(command), environment)  # noqa: S606
    except OSError as error:
        print(f"{command[0]}: cannot be started ({error.strerror})", file=sys.stderr)
        sys.exit(127)


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

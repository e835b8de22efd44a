"""``python -m tests.docs [PAGE ...] [--pictures]``: follows pages of the documentation as a reader would, and tells how
long each block took. With ``--pictures`` the pages' screenshots are made anew on the way.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.docs.blocks import PROJECT, blocks, pages
from tests.docs.pictures import Camera, NoPicture
from tests.docs.running import Untrue, reader


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m tests.docs", description=__doc__)
    arguments.add_argument("page", nargs="*", help="such as docs/tutorial.md; all by default")
    arguments.add_argument("--pictures", action="store_true", help="make the screenshots anew")
    given = arguments.parse_args()
    chosen = [(PROJECT / name).resolve() for name in given.page] or pages()
    failed = 0
    for page in chosen:
        found = [
            block for block in blocks(page) if block.language in ("sh", "python", "picture", "text") or block.title
        ]
        if not any(block.language in ("sh", "python") for block in found):
            continue
        began = time.monotonic()
        name = page.relative_to(PROJECT)
        with (
            tempfile.TemporaryDirectory(prefix="orimono-docs-", ignore_cleanup_errors=True) as folder,
            reader(Path(folder)) as person,
        ):
            camera = Camera(person) if given.pictures else None
            try:
                for block in found:
                    at = time.monotonic()
                    if block.language == "picture":
                        if camera is not None:
                            try:
                                camera.take(block)
                            except NoPicture as error:
                                _tell(f"  no picture at {block.place}: {error}")
                        continue
                    person.follow(block)
                    if block.language in ("sh", "python"):
                        what = "not run: " + block.skipped if block.skipped else block.body.strip().splitlines()[0]
                        _tell(f"  {time.monotonic() - at:6.1f} s  {block.place}  {what}")
            except Untrue as error:
                failed += 1
                _tell(f"FAILED {error}")
            finally:
                if camera is not None:
                    camera.close()
        _tell(f"{time.monotonic() - began:8.1f} s  {name}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

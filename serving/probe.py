"""A health check for images without curl: `python -m serving.probe URL` exits with 0 when it answers with 2xx, or 1."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request

SECONDS = 8.0


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or not arguments[0].startswith(("http://", "https://")):
        print("usage: python -m serving.probe URL", file=sys.stderr)
        return 2
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(arguments[0], timeout=SECONDS):
            return 0
    except urllib.error.HTTPError as error:
        with error:
            print(f"{arguments[0]}: HTTP {error.code}", file=sys.stderr)
    except OSError as error:
        print(f"{arguments[0]}: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""If-Match: a change is made to what its caller saw, or not at all (RFC 9110, 13.1.1). What the state is, each view
says."""

from __future__ import annotations

import re

from serving.api.problems import Refused

_TAG = re.compile(r'\s*(?:W/)?"([\x21\x23-\x7e]*)"\s*(?:,|\Z)')


def hold(if_match: str | None, etag: str, what: str) -> None:
    """Nothing when the header is missing, ``*`` or names this state; 412 otherwise. A bare tag is taken, too, as forms
    and answers hold it; weak ones are compared as if they were strong: these tags name states, not bytes."""
    if if_match is None or if_match.strip() in ("*", etag):
        return
    if etag not in _TAG.findall(if_match):
        raise Refused(412, f"{what}: was changed since you looked; look again, and decide anew")

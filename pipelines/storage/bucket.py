"""The bucket of an object store of one's own (MinIO), made when it is missing. What lies in it is objects.py's."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from datetime import timedelta
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError

from pipelines.errors import BadInput, Unavailable
from pipelines.settings import Settings
from pipelines.storage.objects import s3_store

PATIENCE = 60.0  # s for a store that is just starting
PAUSE = 1.0
ANSWER_SECONDS = 20.0
VALID_SECONDS = 60.0


def make_when_missing(settings: Settings, patience: float = PATIENCE) -> bool:
    """True when it was made. Only at an endpoint of one's own: buckets of AWS are made by who pays for them.

    Raises BadInput where the keys are refused, Unavailable where the store does not answer in ``patience`` seconds.
    """
    parts = urlsplit(settings.objects_url)
    if parts.scheme != "s3" or not settings.s3_endpoint:
        return False
    store = s3_store(parts.netloc, "", settings)
    end = time.monotonic() + patience
    while True:
        try:
            next(iter(obstore.list(store, chunk_size=1)), None)
            return False
        except BaseError as error:
            reason = str(error)
        if "NoSuchBucket" in reason:
            # A bucket is made by a PUT without a name; signed as any other, so that no second client is needed.
            _put(obstore.sign(store, "PUT", "", timedelta(seconds=VALID_SECONDS)), parts.netloc)
            return True
        if any(
            word in reason for word in ("403", "401", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch")
        ):
            remedy = "check ORIMONO_S3_ACCESS_KEY and ORIMONO_S3_SECRET_KEY"
            raise BadInput(f"bucket {parts.netloc}", f"{settings.s3_endpoint} refuses these keys", remedy)
        if time.monotonic() > end:
            raise Unavailable(settings.s3_endpoint, "the object store does not answer", 30)
        time.sleep(PAUSE)


def _put(url: str, bucket: str) -> None:
    request = urllib.request.Request(url, method="PUT")  # noqa: S310
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=ANSWER_SECONDS):
            pass
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 409:  # somebody else has just made it
                return
            remedy = "make it by hand, or give keys that may"
            raise BadInput(f"bucket {bucket}", f"cannot be made (HTTP {error.code})", remedy) from None
    except OSError:
        raise Unavailable("the object store", "went away while its bucket was made", 30) from None

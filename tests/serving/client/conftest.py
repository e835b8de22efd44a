"""The API's real server, for its client."""

from __future__ import annotations

from tests.serving.api.conftest import Api as Api
from tests.serving.api.conftest import Running as Running
from tests.serving.api.conftest import api as api
from tests.serving.api.conftest import app as app
from tests.serving.api.conftest import house as house
from tests.serving.api.conftest import server as server
from tests.serving.api.conftest import settings as settings

"""Studios as governance's tests have them: over a local object store and over a real S3 API."""

from tests.governance.conftest import any_studio as any_studio
from tests.governance.conftest import studio as studio

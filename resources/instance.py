"""Dagster's own home: its settings file, and its storage in a second database on the product's server.

The database's address holds a password where one is used, so it is passed by environment, never written down.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.media.replacing import replace_bytes
from pipelines.settings import Settings
from pipelines.storage.database import Database

HOME_VARIABLE = "DAGSTER_HOME"
URL_VARIABLE = "DAGSTER_POSTGRES_URL"

DAGSTER_YAML = f"""\
# Written by Orimono; edit resources/instance.py instead.
telemetry:
  enabled: false
nux:
  enabled: false  # no newsletter over the lineage
storage:
  postgres:
    postgres_url:
      env: {URL_VARIABLE}
python_logs:
  managed_python_loggers: [pipelines]
  python_log_level: INFO
concurrency:
  runs:
    max_concurrent_runs: 4
    tag_concurrency_limits:  # a run spreads its items over all cores by itself; watching and deleting go on beside it
      - key: orimono/heavy
        limit: 1
      - key: orimono/provider  # one run at a time asks a provider of scores: each finds out how much it takes
        value:
          applyLimitPerUniqueValue: true
        limit: 1
run_launcher:  # knows when a run's process is gone, even with its code server
  module: resources.launching
  class: WatchedRunLauncher
run_monitoring:
  enabled: true
  start_timeout_seconds: 180
  poll_interval_seconds: 20
run_retries:
  enabled: true
  max_retries: 2
  retry_on_asset_or_op_failure: false  # steps ask for their own retries; this one is for crashed runs
retention:
  sensor:
    purge_after_days:
      skipped: 1
      failure: 30
      success: 30
"""


def prepare(settings: Settings, database: Database) -> dict[str, str]:
    """Writes Dagster's home and returns the environment that Dagster's processes need."""
    home = settings.home_path / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    file = home / "dagster.yaml"
    if not file.exists() or file.read_text() != DAGSTER_YAML:
        replace_bytes(file, DAGSTER_YAML.encode())
    return {HOME_VARIABLE: str(home), URL_VARIABLE: database.dagster_url}


def environment(settings: Settings, database: Database, given: Mapping[str, str]) -> dict[str, str]:
    """What ``given``, an environment, lacks for Dagster's programs. A home that it names stays as it is, and with it a
    storage of its own where no database of ours is given. The server is not asked whether the storage's database is
    there, so that who can do without it starts while it is away."""
    if not given.get(HOME_VARIABLE):
        return prepare(settings, database)
    if given.get(URL_VARIABLE) or not settings.database_url:
        return {}
    return {URL_VARIABLE: database.dagster_address}

"""All settings of the product: read once from ``ORIMONO_*``, each with a default that suits a laptop.

Each may be given by a file as well (``ORIMONO_DATABASE_PASSWORD_FILE``), as containers are given their secrets.
No other module reads the environment. ``orimono config`` prints this table.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from pipelines.errors import BadInput

PROJECT = Path(__file__).resolve().parent.parent
MOST_FILE = 1 << 16  # bytes of a setting that is given by a file
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
SCHEDULERS = ("dagster", "airflow")


def _setting(default: str, help: str, *, secret: bool = False) -> str:
    return field(default=default, repr=not secret, metadata={"help": help, "secret": secret})


@dataclass(frozen=True, slots=True)
class Settings:
    """One field a variable: ``ORIMONO_`` + its name in capitals."""

    home: str = _setting(str(PROJECT / ".orimono"), "everything that is kept: server, objects, inbox, Dagster's home")
    database_url: str = _setting("", "PostgreSQL with pgvector to use instead of the embedded server", secret=True)
    database_password: str = _setting("", "its user's password, where the address names none", secret=True)
    objects_url: str = _setting("", "object store: empty for a folder in the home, or s3://bucket/prefix")
    s3_endpoint: str = _setting("", "endpoint of an S3 API other than AWS (MinIO); credentials come from AWS_*")
    s3_access_key: str = _setting("", "who asks the object store; AWS_* or the machine's role when empty")
    s3_secret_key: str = _setting("", "that one's secret key", secret=True)
    workers: str = _setting("", "processes that compute items side by side; empty for one a core")
    compute: str = _setting("local", "where items are computed: local, or ray://host:port (a Ray cluster's GCS)")
    scheduler: str = _setting("dagster", "who starts the cadences: dagster, or airflow (dags/airflow)")
    batch_jobs: str = _setting("8", "jobs of one batch (a Dagster partition); more where many small ones wait")
    settle_seconds: str = _setting("2", "how long a finished job folder must be unchanged before it is taken")
    max_media_hours: str = _setting("4", "longest media file that is accepted, in hours")
    corpus_items: str = _setting("600", "how many items the generated mastering corpus has")
    storage_budget_gb: str = _setting("50", "room for the object store; from 80 % on, less and less is taken")
    recommender_epochs: str = _setting("6", "passes over the decisions when the recommender is trained, at most")
    harmonizer_epochs: str = _setting("", "passes over the chorales when the harmonizer is trained; empty for its own")
    openai_api_key: str = _setting("", "key of the OpenAI-compatible endpoint; else OPENAI_API_KEY's", secret=True)
    openai_base_url: str = _setting("https://api.openai.com/v1", "OpenAI-compatible endpoint that scores sheets")
    gemini_api_key: str = _setting("", "key of Google's Gemini; else GEMINI_API_KEY's", secret=True)
    gemini_base_url: str = _setting("https://generativelanguage.googleapis.com", "Gemini's endpoint")
    score_provider: str = _setting("local", "who scores sheets unless told otherwise: openai, gemini or local")
    score_model: str = _setting("", "the model that scores sheets unless told otherwise; empty for the provider's own")
    score_concurrency: str = _setting("256", "requests in flight at once, at most; how many it takes is found out")
    score_requests_per_minute: str = _setting("", "requests a minute, at most; empty for what the provider allows")
    score_tokens_per_minute: str = _setting("", "tokens a minute, at most; empty for what the provider allows")
    score_timeout_seconds: str = _setting("60", "how long one answer may take")
    score_price: str = _setting("", "USD a million tokens, read and written, such as 0.15,0.60; empty: cost unknown")
    score_cache_hours: str = _setting("24", "how long an answer is given again to who asks the same")
    score_cache_entries: str = _setting("10000", "how many answers are kept for that")
    score_retries: str = _setting("5", "how often a failed chunk of a sheet runs again by itself")
    google_credentials: str = _setting("", "JSON file of a service account or an authorized user, for Google Sheets")
    google_sheets_url: str = _setting("https://sheets.googleapis.com", "Google Sheets' endpoint")
    video_hosts: str = _setting("", "hosts (with port) on a private network that videos may be fetched from, by comma")
    sound_font: str = _setting("", "SF2 or SF3 file that arrangements are heard with; empty for one that is installed")
    plugin_folders: str = _setting("", "folders with VST3 and CLAP plug-ins, by colon; empty for the usual ones")
    plugin_scan_seconds: str = _setting("20", "how long one plug-in may take to tell what it is")
    slack_webhook: str = _setting("", "Slack webhook for decisions and alarms; the log when empty", secret=True)
    port: str = _setting("3000", "port of the Dagster UI on loopback")
    dagster_url: str = _setting("", "where people reach the Dagster UI; empty for its port on loopback")
    dagster_internal_url: str = _setting("", "where Orimono's own processes reach it; empty for where people do")
    api_host: str = _setting("127.0.0.1", "address that the API and the pages listen on")
    api_port: str = _setting("3001", "port of the API and the pages")
    api_url: str = _setting("", "where people reach the API and the pages; empty for its port on loopback")
    api_secret: str = _setting("", "signs links to files; empty for one that is made in the home", secret=True)
    api_requests_per_second: str = _setting("5000", "requests of one key a second, at most")
    api_refusals_per_second: str = _setting("50", "refused requests of one key a second before it must wait")
    upload_hours: str = _setting("24", "how long a file that is coming in pieces waits for the next one")
    oidc_issuer: str = _setting("", "OpenID Connect issuer whose tokens are taken beside keys")
    oidc_audience: str = _setting("orimono", "audience that such a token must name")
    oidc_name_claim: str = _setting("sub", "claim that names the person")
    oidc_role_claim: str = _setting("orimono_role", "claim with viewer, editor, operator or administrator")
    run_days: str = _setting("30", "how long Dagster's runs are kept with their logs; a batch's last run stays")
    object_grace_days: str = _setting("2", "how long an object that nothing refers to is kept")
    backups_kept: str = _setting("7", "how many backups a folder keeps; what was withdrawn is in them until they go")
    backup_folder: str = _setting("", "where the nightly backup goes; empty for none")
    otlp_endpoint: str = _setting("", "OTLP/HTTP collector that takes traces; none when empty")
    log_level: str = _setting("INFO", "DEBUG, INFO, WARNING or ERROR")

    @property
    def home_path(self) -> Path:
        return Path(self.home).expanduser().resolve()

    @property
    def inbox(self) -> Path:
        return self.home_path / "inbox"

    @property
    def dagster_address(self) -> str:
        return (self.dagster_url or f"http://127.0.0.1:{self.port}").rstrip("/")

    @property
    def dagster_endpoint(self) -> str:
        """Where a process of ours asks Dagster, which in a cluster is not where people do."""
        return (self.dagster_internal_url or self.dagster_address).rstrip("/")

    @property
    def api_address(self) -> str:
        return (self.api_url or f"http://127.0.0.1:{self.api_port}").rstrip("/")

    def number(self, name: str) -> float:
        """The setting as a number above zero; raises BadInput naming the variable."""
        text = getattr(self, name)
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not 0 < value < float("inf"):
            raise BadInput(f"ORIMONO_{name.upper()}", f"is {text!r}, not a number above 0", "set it to one or unset it")
        return value

    def whole(self, name: str) -> int:
        """The setting as a whole number above zero; raises BadInput naming the variable."""
        value = self.number(name)
        if value != int(value):
            reason = f"is {getattr(self, name)!r}, not a whole number above 0"
            raise BadInput(f"ORIMONO_{name.upper()}", reason, "set it to one or unset it")
        return int(value)


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment; unknown ``ORIMONO_*`` names raise BadInput, so a typing error is not silent.

    ``ORIMONO_X_FILE`` names a file that holds ``ORIMONO_X``; BadInput where it cannot be read, or both are given.
    """
    environ = os.environ if environ is None else environ
    known = {f"ORIMONO_{f.name.upper()}": f.name for f in fields(Settings)}
    files = {f"{variable}_FILE": variable for variable in known}
    unknown = sorted(k for k in environ if k.startswith("ORIMONO_") and k not in known and k not in files)
    if unknown:
        raise BadInput(unknown[0], "is not a setting of Orimono", "see `orimono config` for the list")
    given = {known[k]: v for k, v in environ.items() if k in known and v != ""}
    for variable, named in files.items():
        if environ.get(variable):
            if known[named] in given:
                raise BadInput(variable, f"is given beside {named}", "unset one of them")
            given[known[named]] = _content(variable, Path(environ[variable]))
    # Keys go by the names that every program of theirs reads, too.
    usual = {name: environ[name.upper()] for name in ("openai_api_key", "gemini_api_key") if environ.get(name.upper())}
    settings = Settings(**{**usual, **given})
    for name, choices in {"log_level": LOG_LEVELS, "scheduler": SCHEDULERS}.items():
        if (value := getattr(settings, name)) not in choices:
            remedy = f"set it to one of {', '.join(choices)}, or unset it"
            raise BadInput(f"ORIMONO_{name.upper()}", f"is {value!r}", remedy)
    return settings


def _content(variable: str, file: Path) -> str:
    """What the file holds without the newline at its end; never told in a message."""
    remedy = "let it name a text file of one line that this user may read"
    try:
        with file.open("rb") as source:
            text = source.read(MOST_FILE + 1).decode().rstrip("\r\n")
    except OSError as error:
        raise BadInput(variable, f"names {file}, which cannot be read ({error.strerror})", remedy) from error
    except UnicodeDecodeError as error:
        raise BadInput(variable, f"names {file}, which is no text", remedy) from error
    if not text or len(text) > MOST_FILE or "\n" in text or "\0" in text:
        raise BadInput(variable, f"names {file}, which is not one line of text", remedy)
    return text

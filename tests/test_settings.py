"""Settings come from the environment once, each with a default; a typing error is not silent."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from pipelines import settings
from pipelines.errors import BadInput, Unavailable


def test_nothing_is_needed() -> None:
    loaded = settings.load({})
    assert loaded.home_path == settings.PROJECT / ".orimono"
    assert loaded.inbox == loaded.home_path / "inbox"


def test_values_are_read_and_empty_ones_are_defaults(tmp_path: Path) -> None:
    loaded = settings.load({"ORIMONO_HOME": str(tmp_path), "ORIMONO_PORT": "", "OTHER": "x"})
    assert (loaded.home_path, loaded.port) == (tmp_path, "3000")


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(BadInput, match=r"ORIMONO_DATABSE_URL: is not a setting.*orimono config"):
        settings.load({"ORIMONO_DATABSE_URL": "postgresql://x"})


@pytest.mark.parametrize("text", ["0", "-1", "ten", "nan", "inf"])
def test_a_bad_number_names_its_variable(text: str) -> None:
    with pytest.raises(BadInput, match="ORIMONO_BATCH_JOBS"):
        settings.load({"ORIMONO_BATCH_JOBS": text}).number("batch_jobs")


@pytest.mark.parametrize("text", ["0.5", "1.5", "0", "ten"])
def test_a_count_is_whole(text: str) -> None:
    with pytest.raises(BadInput, match="ORIMONO_WORKERS"):
        settings.load({"ORIMONO_WORKERS": text}).whole("workers")
    assert settings.load({"ORIMONO_WORKERS": "2"}).whole("workers") == 2


def test_a_setting_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("geheim \n")
    assert settings.load({"ORIMONO_DATABASE_PASSWORD_FILE": str(file)}).database_password == "geheim "
    assert settings.load({"ORIMONO_DATABASE_PASSWORD_FILE": ""}).database_password == ""


@pytest.mark.parametrize("content", [None, b"", b"\n", b"geheim\nzwei\n", b"\xff\xfe", b"geheim" * 20_000])
def test_a_file_that_holds_no_setting_is_named_and_not_told(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(
        BadInput, match=r"^ORIMONO_DATABASE_PASSWORD_FILE: names .*password, which .*one line"
    ) as raised:
        settings.load({"ORIMONO_DATABASE_PASSWORD_FILE": str(file)})
    assert "geheim" not in str(raised.value)


def test_a_setting_is_given_in_one_way(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"ORIMONO_PORT_FILE: is given beside ORIMONO_PORT"):
        settings.load({"ORIMONO_PORT": "1", "ORIMONO_PORT_FILE": str(tmp_path)})
    with pytest.raises(BadInput, match=r"ORIMONO_PROT_FILE: is not a setting"):
        settings.load({"ORIMONO_PROT_FILE": str(tmp_path)})


def test_a_log_level_that_is_none_is_named() -> None:
    with pytest.raises(BadInput, match=r"ORIMONO_LOG_LEVEL: is 'LOUD'.*DEBUG, INFO"):
        settings.load({"ORIMONO_LOG_LEVEL": "LOUD"})


def test_a_secret_is_in_no_representation() -> None:
    for name, value in (("DATABASE_URL", "postgresql://me:geheim@db/orimono"), ("DATABASE_PASSWORD", "geheim")):
        assert "geheim" not in repr(settings.load({f"ORIMONO_{name}": value}))
    assert "geheim" not in repr(settings.load({"ORIMONO_S3_SECRET_KEY": "geheim"}))


def test_errors_survive_the_way_home_from_a_worker() -> None:
    bad = pickle.loads(pickle.dumps(BadInput("a", "b", "c")))
    assert (str(bad), bad.remedy) == ("a: b; c", "c")
    away = pickle.loads(pickle.dumps(Unavailable("a", "b", 3)))
    assert (str(away), away.retry_after) == ("a: b; try again in 3 s", 3)

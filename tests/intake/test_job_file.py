from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import BadInput
from pipelines.intake import job_file
from pipelines.intake.job_file import JobFile, dump, parse

GOOD = b"owner: yamada\nfiles:\n  - {file: song.ogg, kind: music}\n"


def test_the_least_that_is_needed() -> None:
    job = parse(GOOD, "job.yaml")
    assert (job.owner, job.consents.quality, job.consents.training, job.bpm) == ("yamada", False, False, None)
    assert job.files[0].tags == ()


def test_all_that_can_be_said() -> None:
    text = """
    owner: 山田 花子
    consents: {quality: true, training: true}
    bpm: 120.5
    key: A minor
    files:
      - file: ../../media/歌 🎵.ogg
        kind: music
        tags: [弦楽, 1974]
      - {file: words.lrc, kind: lyrics, tags: }
    edit: {duration: 60, fps: 30000/1001, patterns: [dynamic, hybrid]}
    """
    job = parse(text.encode(), "job.yaml")
    assert job.files[0].tags == ("弦楽", "1974")
    assert job.files[1].tags == ()
    assert job.edit.fps == "30000/1001"
    assert job.outside() == job.files[0]
    assert parse(dump(job), "again") == job


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "does not say owner and files"),
        ("- a\n- b", "does not say owner and files"),
        ("files: [{file: a.ogg, kind: music}]", "does not say owner"),
        ("owner: x", "does not say files"),
        ("owner: x\nfiles: []", "files: "),
        ("owner: ''\nfiles: [{file: a.ogg, kind: music}]", "owner: "),
        ("owner: x\nfiles: [{file: a.ogg, kind: movie}]", r"files\[0\]\.kind: input should be 'music', 'clip'"),
        ("owner: x\nfiles: [{file: a.ogg}]", r"does not say files\[0\]\.kind"),
        ("owner: x\nfils: []\nfiles: [{file: a.ogg, kind: music}]", "says fils, which is not known"),
        ("owner: x\nbpm: -3\nfiles: [{file: a.ogg, kind: music}]", "bpm: "),
        ("owner: x\nbpm: .nan\nfiles: [{file: a.ogg, kind: music}]", "bpm: "),
        ("owner: x\nfiles: [{file: /etc/passwd, kind: music}]", "must be a path relative"),
        ("owner: x\nfiles: [{file: 'C:\\a.ogg', kind: music}]", "must be a path relative"),
        ("owner: x\nfiles: [{file: .hidden, kind: music}]", "ordinary, visible file"),
        ("owner: x\nfiles: [{file: .., kind: music}]", "ordinary, visible file"),
        ("owner: x\nfiles: [{file: job.yaml, kind: lyrics}]", "ordinary, visible file"),
        ("owner: x\nfiles: [{file: a.ogg, kind: music}, {file: a.ogg, kind: clip}]", "lists a.ogg twice"),
        ("owner: x\nfiles: [{file: 'か\u3099.ogg', kind: music}, {file: 'が.ogg', kind: clip}]", "lists が.ogg twice"),
        ("owner: x\nowner: y\nfiles: [{file: a.ogg, kind: music}]", "owner is given twice"),
        ("owner: x\nfiles: [{file: a.ogg, kind: music}]\nedit: {fps: 7}", "no rate that timelines know"),
        ("owner: x\nfiles: [{file: a.ogg, kind: music}]\nedit: {duration: 0}", r"edit\.duration: "),
        ("owner: x\nfiles: [{file: a.ogg, kind: music}]\nedit: {patterns: [jazz]}", "'jazz' is none of dynamic"),
        ("owner: [", r"is not readable YAML \(line 1: "),
        ("owner: \x00", "is not readable YAML"),
        ("owner: !!python/object/apply:os.system [ls]", "is not readable YAML"),
        ("a: &a [x]\nb: *a", "aliases are not allowed"),
        ("[" * 5000, "nested too deeply"),
        ("{a: " * 5000, "nested too deeply"),
        ("x" * 300_000, "is larger than 256 KB"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(text: str, reason: str) -> None:
    started = time.monotonic()
    with pytest.raises(BadInput, match=reason) as caught:
        parse(text.encode(), "春/job.yaml")
    assert str(caught.value).startswith("春/job.yaml: ")
    assert str(caught.value).endswith("mend job.yaml as the README shows")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    assert time.monotonic() - started < 2


def test_a_bomb_of_aliases_costs_nothing() -> None:
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"] + [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    with pytest.raises(BadInput, match="aliases are not allowed"):
        parse("\n".join(lines).encode(), "job.yaml")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_what_editors_write(encoding: str) -> None:
    text = "owner: 山田\r\nfiles:\r\n  - {file: 歌.ogg, kind: music}\r\n"
    assert parse(text.encode(encoding), "job.yaml").owner == "山田"


@given(st.binary(max_size=400) | st.text(max_size=400).map(str.encode))
def test_any_bytes_are_a_job_or_one_sentence(data: bytes) -> None:
    try:
        assert isinstance(parse(data, "job.yaml"), JobFile)
    except BadInput as error:
        assert "\n" not in str(error)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
        max_leaves=20,
    ),
    st.sampled_from(["owner", "files", "edit", "consents", "bpm", "key"]),
)
def test_any_value_anywhere_is_a_job_or_one_sentence(value: object, field: str) -> None:
    import yaml

    plain: dict[str, object] = yaml.safe_load(GOOD)
    plain[field] = value
    try:
        parse(yaml.safe_dump(plain, allow_unicode=True).encode("utf-8", "surrogatepass"), "job.yaml")
    except BadInput as error:
        assert "\n" not in str(error)


def test_the_samples_of_the_project_are_jobs() -> None:
    from pathlib import Path

    samples = sorted((Path(__file__).parents[2] / "sample" / "jobs").glob(f"*/{job_file.NAME}"))
    assert len(samples) >= 2
    for sample in samples:
        parse(sample.read_bytes(), sample)

"""Commands of the mastering system. Each returns what --json prints and what a person reads; arguments are cli.py's."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.errors import BadInput
from pipelines.settings import Settings

if TYPE_CHECKING:
    from pipelines.mastering.suggesting import Suggestion

Answer = tuple[dict[str, Any], str]
TOGETHER = 0.0005  # s


def align(arguments: Namespace, settings: Settings) -> Answer:
    from pipelines.mastering import alignment
    from pipelines.media.replacing import replace_bytes

    inst, vocal = _sound(arguments.inst), _sound(arguments.vocal)
    found = alignment.align(inst, vocal, max_hours=settings.number("max_media_hours"))
    if arguments.picture:
        replace_bytes(Path(arguments.picture), alignment.picture(found, f"{inst.name} / {vocal.name}"))
    result = {
        "inst": str(inst),
        "vocal": str(vocal),
        "lag_s": found.lag_s,
        "drift_ppm": found.drift_ppm,
        "confidence": found.confidence,
        "verdict": found.verdict,
        "reasons": list(found.reasons),
        "by_rhythm": found.by_rhythm,
        "windows": len(found.windows.times),
    }
    text = f"{found.verdict}: confidence {found.confidence:.2f}: {'; '.join(found.reasons)}"
    if found.verdict != "fail":  # what was found for stems that do not belong together means nothing
        where = "begins later in the song, move it right" if found.lag_s > 0 else "begins earlier, move it left"
        where = where if abs(found.lag_s) >= TOGETHER else "begins together with it"
        text += f"\nlag    {found.lag_s:+.4f} s: {vocal.name} {where}\ndrift  {found.drift_ppm:+.1f} ppm"
    return result, text


def master(arguments: Namespace, settings: Settings) -> Answer:
    from pipelines.mastering import mastering, pictures, previews, waveform
    from pipelines.media.replacing import replace_bytes

    source, out = _sound(arguments.input), Path(arguments.out).expanduser()
    if not out.parent.is_dir():
        raise BadInput(out.parent, "is not a folder", "make it, or give another --out")
    hours = settings.number("max_media_hours")
    said = None if arguments.preset is not None else _suggested(settings, source, hours)
    preset = said.preset if said is not None else arguments.preset
    try:
        made = mastering.master(source, out, preset, target=arguments.target, max_hours=hours)
    except OSError as error:
        raise BadInput(out, f"cannot be written ({error.strerror})", "give another --out") from error
    beside = {
        "preview": out.with_name(f"{out.stem}.preview.m4a"),
        "waveform": out.with_name(f"{out.stem}.waveform.png"),
        "peaks": out.with_name(f"{out.stem}.peaks.json"),
        "before_after": out.with_name(f"{out.stem}.before-after.png"),
    }
    if not arguments.alone:
        import json

        previews.preview(out, beside["preview"])
        replace_bytes(beside["waveform"], waveform.picture(out))
        replace_bytes(beside["peaks"], json.dumps(waveform.peaks(out)).encode())
        replace_bytes(beside["before_after"], pictures.before_after(source, out, made))
    by_rule = made.suggestion
    chosen_by, confidence, reason = "you", 1.0, "as asked for"
    if said is not None:
        chosen_by, confidence, reason = f"preset_cls {said.by}", said.confidence, said.reason
    elif by_rule is not None:
        chosen_by, confidence, reason = "rule", by_rule.confidence, by_rule.reason
    result = {
        "file": str(out),
        "preset": made.preset.name,
        "chosen_by": chosen_by,
        "confidence": confidence,
        "reason": reason,
        "parameters": asdict(made.settings),
        "reductions_db": asdict(made.reductions),
        "gain_db": made.gain_db,
        "ceiling_dbtp": made.preset.ceiling_dbtp,
        "before": asdict(made.before),
        "after": asdict(made.after),
        "warnings": list(made.warnings),
        "beside": {} if arguments.alone else {name: str(path) for name, path in beside.items()},
    }
    s, b, a = made.settings, made.before, made.after
    chosen = reason if chosen_by == "you" else f"suggested by {chosen_by}, confidence {confidence:.2f}: {reason}"
    lines = [
        *made.warnings,
        f"{out}  ({made.format}, {made.duration:.1f} s)",
        f"preset     {made.preset.name} ({chosen})",
        f"loudness   {b.lufs:.1f} -> {a.lufs:.1f} LUFS (target {s.target_lufs:g}), range {b.lra:.1f} -> {a.lra:.1f} LU",
        f"true peak  {b.true_peak_dbtp:.1f} -> {a.true_peak_dbtp:.1f} dBTP (ceiling {made.preset.ceiling_dbtp:g})",
        f"settings   low shelf {s.low_shelf_db:+.1f} dB, high shelf {s.high_shelf_db:+.1f} dB, "
        f"compression {s.comp_db:.1f} dB, gain {made.gain_db:+.1f} dB",
    ]
    if not arguments.alone:
        lines.append("beside it  " + ", ".join(path.name for path in beside.values()))
    return result, "\n".join(lines)


def _suggested(settings: Settings, source: Path, max_hours: float) -> Suggestion | None:
    """What the live model says, where this home has one; None leaves it to the rule."""
    if not settings.database_url and not (settings.home_path / "postgres").is_dir():
        return None
    from pipelines.audio.features import extract
    from pipelines.mastering.suggesting import Advisor
    from pipelines.models.inference import RULE
    from pipelines.studio import Studio
    from serving.people import operator

    with Advisor(Studio.open(settings)) as advisor:
        said = advisor.preset(operator().pseudonym, extract(source, max_hours=max_hours))
    return said if said.by != RULE else None


def presets(arguments: Namespace, settings: Settings) -> Answer:
    from pipelines.mastering import presets as known

    found = [known.get(name) for name in known.names()]
    rows = [
        {"name": p.name, "title": p.title, "intent": p.intent, "lufs": p.target_lufs, "dbtp": p.ceiling_dbtp}
        for p in found
    ]
    width = max(len(p.name) for p in found)
    return {"presets": rows}, "\n".join(f"{p.name:{width}}  {p.target_lufs:5.1f} LUFS  {p.intent}" for p in found)


def label(arguments: Namespace, settings: Settings) -> Answer:
    """A person's answer in the place of the rule's, for the newest content of a job."""
    from pipelines.mastering import labelling, training_set
    from pipelines.storage import jobs, labels
    from pipelines.storage.consents import may_learn_from
    from pipelines.studio import Studio
    from serving.people import operator

    given = {
        "preset_cls": arguments.preset,
        "align_conf": arguments.alignment,
        "master_reg": arguments.settings,
    }
    ((task, said),) = [(task, said) for task, said in given.items() if said is not None]
    answer = labelling.checked(task, said)
    with Studio.open(settings).database.session() as session:
        job_id = jobs.presented(session, arguments.job)
        if job_id is not None and task == "align_conf":
            labels.ask(session, job_id, task, "vocal", training_set.ALIGNMENT_VERSION, answer)
        known = [] if job_id is None else labels.of_task(session, task, job_id)
        if job_id is None or not known:
            what = "aligned stems" if task == "align_conf" else "been mastered"
            raise BadInput(arguments.job, "has no labels yet", f"give the name of a job that has {what}")
        ids = [labels.correct(session, row.id, answer, operator().name) for row in known]
        wish = jobs.get(session, job_id).master.get("preset")
        learned = may_learn_from(session, job_id)
    text = f"{len(ids)} label{'s' * (len(ids) != 1)} of {arguments.job} corrected"
    if task == "preset_cls":
        text += f"; job.yaml still asks for {wish}" if wish else "; a new run of its batch masters it so"
    text += "; the next training learns from it" if learned else "; its owner does not allow learning from it"
    return {"job": arguments.job, "task": task, "answer": answer, "labels": ids}, text


def _sound(text: str) -> Path:
    path = Path(text).expanduser()
    if not path.is_file():
        raise BadInput(text, "is not a file", "check the path")
    return path

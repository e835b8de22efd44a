"""How results look in the Dagster UI: a table, a few pictures, a number a metric. What they mean is pipelines' say."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    from pipelines.items import Result
    from pipelines.models.judgements import Made
    from pipelines.settings import Settings

# The event log keeps every picture for ever; a few are looked at, the rest can be computed again.
MAX_PICTURES = 4
MAX_ROWS = 50
MAX_WIDTH = 1130  # px, what the UI's dialog shows without cutting it off


def describe(results: Sequence[Result[Any]], *, pictures: int = MAX_PICTURES) -> dict[str, Any]:
    """Metadata of one step over a batch's items, with at most so many of their pictures."""
    failed = [r for r in results if r.error]
    metadata: dict[str, Any] = {
        "items": len(results),
        "computed": sum(1 for r in results if r.produced and not r.produced.stored),
        "already_stored": sum(1 for r in results if r.produced and r.produced.stored),
        "failed": len(failed),
        "seconds": round(sum(r.seconds for r in results), 2),
        "table": dg.MetadataValue.md(table(results)),
    }
    for number, result in enumerate(r for r in results if r.produced and r.produced.picture):
        if number == pictures:
            break
        assert result.produced is not None and result.produced.picture is not None
        metadata[f"picture_{number + 1}"] = picture(result.produced.picture, result.item.name)
    if failed:
        metadata["errors"] = dg.MetadataValue.md("\n".join(f"- {cell(r.error or '')}" for r in failed[:MAX_ROWS]))
    return metadata


def told(summary: dict[str, float | int | str]) -> dict[str, dg.MetadataValue | float | int | str]:
    """Numbers as they are, one stable key a figure; text that holds a table or a list as Markdown."""
    return {
        key: dg.MetadataValue.md(value) if isinstance(value, str) and ("|" in value or "\n" in value) else value
        for key, value in summary.items()
    }


def shown(made: Made) -> dict[str, Any]:
    """Metadata of one result: its numbers and words, each picture under its name, and where its page lies."""
    metadata: dict[str, Any] = {**told(made.summary)}
    metadata |= {name: picture(png, cell(name)) for name, png in made.pictures.items()}
    if made.report is not None:
        metadata["report"] = dg.MetadataValue.path(made.report)
    return metadata


def addresses(pages: Mapping[str, str]) -> dg.MarkdownMetadataValue:
    """A list of links: name -> address."""
    return dg.MetadataValue.md("\n".join(f"- [{cell(name)}]({address})" for name, address in pages.items()))


def table(results: Sequence[Result[Any]]) -> str:
    """A Markdown table, one row an item, one column a summary key."""
    keys = list(dict.fromkeys(k for r in results if r.produced for k in r.produced.summary))
    lines = ["| item | " + " | ".join(keys) + " | state |", "|" + "---|" * (len(keys) + 2)]
    for result in results[:MAX_ROWS]:
        summary = result.produced.summary if result.produced else {}
        state = "failed" if result.error else "stored" if result.produced and result.produced.stored else "computed"
        values = [cell(_short(summary.get(k, ""))) for k in keys]
        lines.append(f"| {cell(result.item.name)} | " + " | ".join(values) + f" | {state} |")
    if len(results) > MAX_ROWS:
        lines.append(f"\n... and {len(results) - MAX_ROWS} more")
    return "\n".join(lines)


def picture(png: bytes, title: str) -> dg.MarkdownMetadataValue:
    """Fitted to the page's dialog, as WebP, half the size of a PNG in 256 colours: the event log keeps it for ever, and
    the page of an asset loads those of a hundred events."""
    from PIL import Image

    image = Image.open(io.BytesIO(png)).convert("RGB")
    image.thumbnail((MAX_WIDTH, 4 * MAX_WIDTH), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=80)
    return dg.MetadataValue.md(
        f"![{cell(title)}](data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode()})"
    )


def page(settings: Settings, path: str) -> dg.UrlMetadataValue:
    """The admin page (``/models``) where a person acts on what an asset tells."""
    return dg.MetadataValue.url(f"{settings.api_address}{path}")


def cell(text: str) -> str:
    """Text made harmless within Markdown: names come from strangers."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{c}" if c in "|[]()!`*_\\" else c for c in escaped).replace("\n", " ")


def _short(value: float | int | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)

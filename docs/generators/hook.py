"""MkDocs's hook: puts the generated pages among the written ones, so that none is older than the code."""

from __future__ import annotations

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from docs.generators.pages import PAGES


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """MkDocs calls this with the files of ``docs/``."""
    for path, write in PAGES.items():
        files.append(File.generated(config, path, content=write()))
    return files

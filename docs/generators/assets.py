"""The assets and their checks, from the code location that Dagster loads."""

from __future__ import annotations

from collections import defaultdict

import dagster as dg

from definitions import build_defs
from docs.generators import markdown as md

ABOUT = """\
What the code location offers, by group, as the Dagster UI shows it. A *blocking* check stops what would follow;
the others warn. *Partitioned* assets have a partition a batch or a chunk, and can be
[backfilled](../how-to/backfill.md)."""


def page() -> str:
    definitions = build_defs()
    graph = definitions.resolve_asset_graph()
    checks = _checks(definitions)
    groups: dict[str, list[dg.AssetKey]] = defaultdict(list)
    for key in graph.toposorted_asset_keys:
        groups[graph.get(key).group_name or ""].append(key)
    sections = []
    for group in sorted(groups):
        sections.append(f"## {group}")
        for key in groups[group]:
            node = graph.get(key)
            parents = sorted(parent.to_user_string() for parent in node.parent_keys)
            facts = [f"from {', '.join(f'[`{name}`](#{name})' for name in parents)}"] if parents else []
            if node.partitions_def is not None:
                facts.append(f"partitions `{getattr(node.partitions_def, 'name', '')}`{_policy(node.backfill_policy)}")
            facts.append(f"code version {node.code_version}")
            name = key.to_user_string()
            sections.append(f"### {name} {{ #{name} }}\n\n{md.cell(node.description)}\n\n*{'; '.join(facts)}*")
            if rows := checks.get(key):
                sections.append(md.table(("check", "", "what it holds"), rows))
    return md.page("Assets and checks", ABOUT, *sections)


def _policy(policy: dg.BackfillPolicy | None) -> str:
    if policy is None:
        return ""
    most = policy.max_partitions_per_run
    if most is None:
        return ", all in one run of a backfill"
    return f", up to {most} a run of a backfill" if most > 1 else ", one a run"


def checks_of() -> dict[str, set[str]]:
    """The names of each asset's checks."""
    definitions = build_defs()
    given = [*(definitions.asset_checks or ()), *(definitions.assets or ())]
    found: dict[str, set[str]] = defaultdict(set)
    for spec in (spec for one in given for spec in getattr(one, "check_specs", ())):
        found[spec.asset_key.to_user_string()].add(spec.name)
    return found


def _checks(definitions: dg.Definitions) -> dict[dg.AssetKey, list[tuple[str, str, str]]]:
    found: dict[dg.AssetKey, dict[str, tuple[str, str, str]]] = defaultdict(dict)
    given = [*(definitions.asset_checks or ()), *(definitions.assets or ())]
    for one in given:
        for spec in getattr(one, "check_specs", ()):
            blocking = "blocking" if spec.blocking else "warns"
            found[spec.asset_key][spec.name] = (md.code(spec.name), blocking, md.cell(spec.description or ""))
    return {key: list(rows.values()) for key, rows in found.items()}

"""The generated corpus: items a second, features of many clips on two cores against one, and what a snapshot takes."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np

from benchmarks.measure import Figure, cpu_seconds, write
from pipelines import items
from pipelines.audio.features import vectorize
from pipelines.items import Item, Produced
from pipelines.mastering import corpus, excerpts, recipes, training_set
from pipelines.mastering.recipes import Mix
from pipelines.models import snapshots
from pipelines.settings import Settings
from pipelines.storage import embedded, labels
from pipelines.storage.cache import Cache
from pipelines.studio import Studio

CLIPS = 1000
SEED = 0


def describe(settings: Settings, cache: Cache, recipe: Mix) -> Produced:
    """Features of one clip of 8 to 9 s, with the changes that make it."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        vector = vectorize(excerpts.mix(recipe)[1], excerpts.RATE).vector
    return Produced(stored=False, summary={"first": float(vector[0])})


def wall_seconds(call: Callable[[], object]) -> float:
    start = time.monotonic()
    call()
    return time.monotonic() - start


def scaling(settings: Settings, n: int) -> tuple[float, float]:
    """(one core's time over two cores', clips a second on two), from blocks of 100 in turn, so that a machine that
    others use slows both alike. The median of the blocks' ratios."""
    found = recipes.recordings(recipes.sample_sources())
    mixes = (recipe for i in range(2 * n) if isinstance(recipe := recipes.draw(SEED, i, found), Mix))
    clips = [Item(str(i), str(i), recipe) for i, recipe in zip(range(n), mixes, strict=False)]
    one, two = (Settings(home=settings.home, workers=str(w)) for w in (1, 2))
    for warm in (one, two):  # decoded sources and started processes are not what is measured
        items.run(warm, clips[:24], describe)
    ratios, pair_seconds = [], 0.0
    for start in range(0, n, 100):
        block = clips[start : start + 100]
        on_two = wall_seconds(lambda block=block: items.run(two, block, describe))
        ratios.append(wall_seconds(lambda block=block: items.run(one, block, describe)) / on_two)
        pair_seconds += on_two
    return statistics.median(ratios), n / pair_seconds


def run(clips: int = CLIPS, made: int = 240) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=home, workers="2")
        ratio, rate = scaling(settings, clips)
        note = f"features of {clips} clips of 8 to 9 s by items.run (loky), blocks of 100 in turn"
        figures["features_two_cores_over_one"] = Figure(ratio, "x", at_least=1.8, note=note)
        figures["features_on_two_cores"] = Figure(rate, "clips/s", note="degraded and described")

        found = recipes.recordings(recipes.sample_sources())
        drawn = [recipes.draw(SEED, i, found) for i in range(30)]
        for recipe in drawn:
            corpus.measure(settings, Cache.__new__(Cache), recipe)
        cpu = cpu_seconds(lambda: [corpus.measure(settings, Cache.__new__(Cache), r) for r in drawn]) / len(drawn)
        note = "20 mixes (three feature vectors and a master each) and 10 pairs of stems (an alignment each)"
        figures["corpus_cpu_an_item"] = Figure(cpu * 1e3, "ms", note=note)
        figures["corpus_items_two_free_cores"] = Figure(
            2 / cpu, "items/s", at_least=15, note="two cores over the CPU time of an item"
        )
        try:
            figures |= stored(Studio.open(settings), made)
        finally:
            embedded.stop(settings.home_path, force=True)
    return figures


def stored(studio: Studio, made: int) -> dict[str, Figure]:
    corpus.generate(studio, 24, seed=SEED)  # the processes decode their sources
    done = corpus.generate(studio, made, seed=SEED)
    again = wall_seconds(lambda: corpus.generate(studio, made, seed=SEED))
    note = f"{done.made} items through the database, on the machine as it was"
    figures = {"corpus_items_as_measured": Figure(done.made / done.seconds, "items/s", note=note)}
    figures["corpus_stored_already"] = Figure(again, "s", at_most=1.0, note=f"{made} items found and left")
    with studio.database.session() as session:
        assemble = cpu_seconds(lambda: training_set.assemble(session, "master_reg", now=datetime.now(UTC)))
        data = training_set.assemble(session, "master_reg", now=datetime.now(UTC))
        n = sum(c.n for c in labels.counts(session))
    figures["assemble"] = Figure(assemble * 1e3, "ms", note=f"{len(data)} rows of {data.X.shape[1]}; {n} labels in all")
    large = data.take(np.arange(20_000) % len(data))
    content = snapshots.to_parquet(large)
    figures["snapshot_write_20000_rows"] = Figure(cpu_seconds(lambda: snapshots.to_parquet(large)), "s")
    figures["snapshot_read_20000_rows"] = Figure(cpu_seconds(lambda: snapshots.from_parquet(content)), "s")
    return figures


if __name__ == "__main__":
    results = run(int(sys.argv[1]) if len(sys.argv) > 1 else CLIPS)
    for name, figure in results.items():
        print(f"{name}: {figure.value:.3f} {figure.unit}  {'' if figure.met else 'NOT MET'}")
    write("corpus", results)

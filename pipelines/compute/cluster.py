"""A connection to a Ray cluster: parcels go out, answers come back, or the news that a worker died.

The one module that knows Ray. Which parcels go when, and again, is spreading.py's; what is done with one node.py's.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from pipelines.compute.address import VARIABLE
from pipelines.compute.node import perform
from pipelines.errors import BadInput, Unavailable

log = logging.getLogger(__name__)
_NAMESPACE = "orimono"
_connecting = threading.Lock()
_address: str | None = None  # of the cluster that this process is connected to

Flight: TypeAlias = Any  # an ObjectRef


@dataclass(frozen=True, slots=True)
class Died:
    """No answer will come. ``of``: the worker's own death, or that of the machine or of what carried the answer."""

    of: Literal["worker", "machine"]
    reason: str


@dataclass(frozen=True, slots=True)
class State:
    """``processors`` of all machines that live; how many were ``lost`` since the cluster began."""

    processors: float
    lost: int


class Cluster:
    """One process has one connection, which it keeps: to connect costs more than a small step."""

    def __init__(self, address: str) -> None:
        self.address = address

    def send(self, name: str, parcel: bytes) -> Flight:
        """``name`` is what the cluster's dashboard shows: nothing of a person's belongs into it."""
        import ray

        with self._reached():
            work = ray.remote(num_cpus=1, max_retries=0, scheduling_strategy="SPREAD")(perform)
            return work.options(name=name).remote(parcel)

    def ended(self, flights: Sequence[Flight], seconds: float) -> list[Flight]:
        """Those that have an answer or never will; waits for the first so long at most."""
        import ray

        with self._reached():
            return ray.wait(list(flights), num_returns=1, timeout=seconds)[0]

    def answer(self, flight: Flight) -> bytes | Died:
        """Of a flight that ended. BadInput when the machines cannot run this project at all."""
        import ray
        from ray import exceptions

        with self._reached():
            try:
                return bytes(ray.get(flight))
            except exceptions.LocalRayletDiedError as error:
                raise self._away(error) from error
            except (exceptions.WorkerCrashedError, exceptions.OutOfMemoryError) as error:
                return Died("worker", type(error).__name__)
            except (exceptions.NodeDiedError, exceptions.ObjectLostError, exceptions.TaskCancelledError) as error:
                return Died("machine", type(error).__name__)
            except exceptions.RayTaskError as error:  # ``perform`` answers with its failures: it was not even begun
                reason = f"cannot run Orimono ({_last_line(error)})"
                remedy = "install the same release of it on every machine"
                raise BadInput("the Ray cluster", reason, remedy) from error

    def cancel(self, flights: Sequence[Flight], *, force: bool) -> None:
        """Ends what runs and forgets what waits. ``force``: by killing its process."""
        import ray

        for flight in flights:
            with contextlib.suppress(Exception):  # the cluster may be what failed
                ray.cancel(flight, force=force)

    def state(self) -> State:
        """How the machines are. Unavailable when this one's own part of the cluster died: nothing would ever end."""
        import ray

        with self._reached():
            nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
            here = ray.get_runtime_context().get_node_id()
        if any(node["NodeID"] == here and not node["Alive"] for node in nodes):
            disconnect()
            raise Unavailable("the Ray cluster", f"at {self.address} lost the node on this machine", 30)
        living = [node for node in nodes if node["Alive"]]
        processors = sum(float(node["Resources"].get("CPU", 0.0)) for node in living)
        return State(processors, len(nodes) - len(living))

    @contextlib.contextmanager
    def _reached(self) -> Iterator[None]:
        from ray.exceptions import RayError

        try:
            yield
        except (RayError, ConnectionError) as error:
            raise self._away(error) from error

    def _away(self, error: Exception) -> Unavailable:
        return Unavailable("the Ray cluster", f"at {self.address} is away ({_last_line(error)})", 30)


def connected(address: str) -> Cluster:
    """The cluster at ``ray://host:port``: the port of its GCS. This machine must be one of its nodes, if only one
    without processors. BadInput when it is none, or runs another Ray or Python; Unavailable when nobody answers."""
    global _address
    with _connecting:
        try:
            import ray
        except ImportError as error:
            raise BadInput(VARIABLE, "needs Ray, which is not installed", "pip install 'orimono[ray]'") from error
        if ray.is_initialized() and _address == address:
            return Cluster(address)
        ray.shutdown()
        place = address.removeprefix("ray://")
        log.info("connecting to the Ray cluster at %s", place)
        try:
            with _own_signals():
                ray.init(
                    place, namespace=_NAMESPACE, log_to_driver=False, configure_logging=False, include_dashboard=False
                )
        except (ConnectionError, TimeoutError) as error:
            raise Unavailable("the Ray cluster", f"at {address} does not answer ({_last_line(error)})", 30) from error
        except (RuntimeError, ValueError) as error:
            remedy = f"run `ray start --address={place} --num-cpus=0` beside it, from an equal environment"
            raise BadInput(
                VARIABLE, f"is {address}, which this machine cannot join ({_last_line(error)})", remedy
            ) from error
        _address = address
        return Cluster(address)


def disconnect() -> None:
    """Ends this process's connection, if it has one; the next question makes another."""
    global _address
    with _connecting:
        if _address is None:
            return
        import ray

        ray.shutdown()
        _address = None


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself, by which Dagster interrupts a run."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:200]

"""One version in memory, ready to answer: an onnxruntime session whose shape and meaning were checked.

Where the bytes come from is artefacts.py's; which version answers whom, and what when it fails, inference.py's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import BadInput
from pipelines.models.deadlines import Hands, TooLate

INPUT, OUTPUT = "features", "outputs"  # float32 [n, input_dim] -> float32 [n, output_dim]
_FLOATS = "tensor(float)"
_REMEDY = "train it again, or roll back to a version that works"


class Session(Protocol):
    """What is asked of onnxruntime.InferenceSession."""

    def run(self, output_names: list[str], inputs: dict[str, NDArray[np.float32]], options: Any) -> list[Any]: ...


@dataclass(frozen=True, slots=True)
class Warm:
    """Its ``run`` may be called by any number of threads at once."""

    name: str  # as messages call it
    input_dim: int
    output_dim: int
    classes: tuple[str, ...]  # of a classifier, in the order of the outputs
    metadata: dict[str, str]  # what training wrote into the file
    session: Session

    def run(self, x: NDArray[np.float32], options: Any = None) -> NDArray[np.float32]:
        """float32[n, output_dim] for float32[n, input_dim]; whatever onnxruntime raises, when it fails."""
        outputs: NDArray[np.float32] = self.session.run([OUTPUT], {INPUT: x}, options)[0]
        return outputs

    def wrong(self, outputs: NDArray[np.float32], n: int) -> str | None:
        """Why these outputs for ``n`` rows are no answer; None when they are one."""
        if outputs.shape != (n, self.output_dim):
            return f"answered with the shape {list(outputs.shape)} instead of {[n, self.output_dim]}"
        if not np.isfinite(outputs).all():
            return "answered with NaN or infinity"
        return None


def warm(
    data: bytes,
    name: str,
    *,
    feature_version: str | None = None,
    input_dim: int | None = None,
    output_dim: int | None = None,
    seconds: float = 30.0,
) -> Warm:
    """A session over a model's bytes, run once on zeros: the first call pays for the memory, and a model that cannot
    even answer zeros serves nobody.

    BadInput, naming the model, for bytes that are no model, for one of another shape than float32[n, d] ->
    float32[n, k] (or than the given ``input_dim`` and ``output_dim``), of another feature version than it says itself,
    and for one that answers zeros wrongly or not within ``seconds``.
    """
    session = _open(data, name)
    found_in, found_out = _width(session.get_inputs(), INPUT, name), _width(session.get_outputs(), OUTPUT, name)
    for what, found, wanted in (("inputs", found_in, input_dim), ("outputs", found_out, output_dim)):
        if wanted is not None and found != wanted:
            raise BadInput(name, f"has {found} {what}, not {wanted}", _REMEDY)
    metadata = dict(session.get_modelmeta().custom_metadata_map)
    written = metadata.get("feature_version")
    if feature_version is not None and written is not None and written != feature_version:
        raise BadInput(name, f"learned from features {written!r}, not {feature_version!r}", _REMEDY)
    model = Warm(name, found_in, found_out, _classes(metadata, found_out, name), metadata, session)
    _try(model, seconds)
    return model


def _open(data: bytes, name: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # these models are small: a second thread costs
    for pool in ("intra_op", "inter_op"):  # a thread that spins takes a core from the next request
        options.add_session_config_entry(f"session.{pool}.allow_spinning", "0")
    options.log_severity_level = 4  # what goes wrong is raised, and told once
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # damaged bytes make it raise almost anything
        raise BadInput(name, f"cannot be loaded ({first_line(error)})", _REMEDY) from error


def _width(tensors: list[Any], wanted: str, name: str) -> int:
    """d of the one tensor float32[n, d] of that name."""
    shapes = ", ".join(f"{t.name}: {t.type} {t.shape}" for t in tensors)
    if [t.name for t in tensors] != [wanted]:
        raise BadInput(name, f"has [{shapes}] where one tensor {wanted!r} belongs", _REMEDY)
    (tensor,) = tensors
    if tensor.type != _FLOATS or len(tensor.shape) != 2:
        raise BadInput(name, f"has [{shapes}] where float32 [n, width] belongs", _REMEDY)
    rows, width = tensor.shape
    if isinstance(rows, int):
        raise BadInput(name, f"takes or gives only {rows} rows at a time ([{shapes}])", _REMEDY)
    if not isinstance(width, int) or width < 1:
        raise BadInput(name, f"does not say how wide {wanted!r} is ([{shapes}])", _REMEDY)
    return width


def _classes(metadata: dict[str, str], output_dim: int, name: str) -> tuple[str, ...]:
    text = metadata.get("classes", "")
    if not text:
        return ()
    try:
        read = json.loads(text)
    except ValueError:
        read = None
    if not isinstance(read, list) or len(read) != output_dim:
        raise BadInput(name, f"names its classes as {text[:80]!r}, for {output_dim} outputs", _REMEDY)
    return tuple(str(value) for value in read)


def _try(model: Warm, seconds: float) -> None:
    import onnxruntime

    options = onnxruntime.RunOptions()
    hands: Hands[NDArray[np.float32]] = Hands()
    zeros = np.zeros((1, model.input_dim), np.float32)
    try:
        outputs = hands.call(lambda: model.run(zeros, options), seconds)
    except TooLate as late:
        options.terminate = True
        raise BadInput(model.name, f"took more than {seconds:g} s for one row of zeros", _REMEDY) from late
    except Exception as error:  # as above
        raise BadInput(model.name, f"fails on a row of zeros ({first_line(error)})", _REMEDY) from error
    finally:
        hands.close()
    wrong = model.wrong(outputs, 1)
    if wrong is not None:
        raise BadInput(model.name, f"{wrong} to a row of zeros", _REMEDY)


def first_line(error: Exception) -> str:
    """The first line: the rest names source files of the library."""
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__

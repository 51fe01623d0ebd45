"""Opens ONNX Runtime sessions: threads, the device, and errors that say what to do."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType
from typing import Any

from synml_dagster.errors import ConfigError, ModelError, SetupError

PROVIDERS = {
    "cpu": ["CPUExecutionProvider"],
    "cuda": ["CUDAExecutionProvider"],
    "tensorrt": ["TensorrtExecutionProvider", "CUDAExecutionProvider"],
    "rocm": ["ROCMExecutionProvider", "MIGraphXExecutionProvider"],
    "coreml": ["CoreMLExecutionProvider"],
    "openvino": ["OpenVINOExecutionProvider"],
    "directml": ["DmlExecutionProvider"],
}
"""Names a user gives and the providers of ONNX Runtime that stand for them, the best first."""

AUTOMATIC = ("cuda",)
"""What `auto` looks for before it takes the CPU."""


def _onnxruntime() -> ModuleType:
    """Import ONNX Runtime, which sends telemetry and leaves files for it in the home and in the temporary folder unless told not to."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


def choose_providers(provider: str, gpu: int | None = None) -> list[Any]:
    """Return the providers for a session, the CPU last, as ONNX Runtime takes them.

    Parameters
    ----------
    provider
        One of `PROVIDERS`; `auto` takes a GPU where the runtime has one to offer and `gpu` says which.
    gpu
        The number of the GPU that this task was given, if any.

    Raises
    ------
    ConfigError
        There is no provider of this name.
    SetupError
        The provider was asked for and the installed ONNX Runtime does not have it.
    """
    onnxruntime = _onnxruntime()

    if provider != "auto" and provider not in PROVIDERS:
        raise ConfigError(f"provider {provider!r} is not known; choose one of auto, {', '.join(PROVIDERS)}.")
    available = onnxruntime.get_available_providers()
    names = [name for p in ((provider,) if provider != "auto" else AUTOMATIC) for name in PROVIDERS[p]]
    found = [name for name in names if name in available]
    if provider == "auto" and gpu is None:
        found = []
    if provider != "auto" and not found:
        raise SetupError(
            f"provider {provider!r} was asked for, but ONNX Runtime {onnxruntime.__version__} on this host offers only "
            f"{', '.join(available)}. Install onnxruntime-gpu and its drivers on the executors, or use provider='auto'."
        )
    chosen: list[Any] = [
        (name, {"device_id": gpu or 0})
        if name in ("CUDAExecutionProvider", "TensorrtExecutionProvider")
        else name
        for name in found
        if name != "CPUExecutionProvider"
    ]
    return [*chosen, "CPUExecutionProvider"]


def open_session(
    source: bytes | str | Path, *, threads: int, providers: list[Any], strict: bool = False
) -> Any:
    """Open a session of ONNX Runtime.

    Parameters
    ----------
    source
        A model's bytes, or its path; weights in files beside it are found by path only.
    threads
        Threads inside an operator; a session without this takes the whole host.
    providers
        From `choose_providers`.
    strict
        Whether a device that cannot be used is an error; otherwise the CPU takes over.

    Raises
    ------
    ModelError
        The runtime refuses the model: damaged, an operator set too new, operators it does not have.
    SetupError
        `strict`, and the device cannot be used.
    """
    onnxruntime = _onnxruntime()

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = max(1, threads)
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what matters comes as an exception
    # Threads that spin between calls take the cores of the tasks beside this one.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    given = source if isinstance(source, bytes) else str(source)
    try:
        session = onnxruntime.InferenceSession(given, options, providers=providers)
    except Exception as problem:
        raise ModelError(_explain(problem, source)) from problem
    first = providers[0][0] if isinstance(providers[0], tuple) else providers[0]
    if strict and first not in session.get_providers():
        raise SetupError(
            f"{first} was asked for and could not be started on this host; ONNX Runtime fell back to "
            f"{', '.join(session.get_providers())}. Check the driver with nvidia-smi, or use provider='auto'."
        )
    return session


def _explain(problem: Exception, source: Any) -> str:
    onnxruntime = _onnxruntime()

    where = "The model" if isinstance(source, bytes) else f"The model {str(source)!r}"
    told = " ".join(str(problem).split())
    if "opset" in told.lower() and ("under development" in told or "till opset" in told or "up to" in told):
        return (
            f"{where} uses an operator set that ONNX Runtime {onnxruntime.__version__} is too old for: {told[:300]} "
            "Update onnxruntime on the executors, or export the model with an older opset."
        )
    if "Unsupported model IR version" in told:
        return f"{where} is of a newer file version than ONNX Runtime {onnxruntime.__version__} reads: {told[:300]}"
    if "Protobuf parsing failed" in told or "INVALID_PROTOBUF" in told:
        return f"{where} is damaged or is no ONNX file: {told[:300]}"
    if "external data" in told.lower() or "External data" in told:
        return f"{where} keeps its weights in files beside it, and they are not there: {told[:300]}"
    return f"{where} is refused by ONNX Runtime {onnxruntime.__version__}: {told[:500]}"

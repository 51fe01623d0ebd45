"""The model bundle: the directory that a trained pipeline is, in the layout that MLflow registers and serves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from synml_dagster.features import FeaturePlan
    from synml_dagster.learners import TrainedModel
    from synml_dagster.onnx import OnnxModel


class Saveable(Protocol):
    """Anything that writes itself as files into a directory."""

    def save(self, directory: str | Path) -> Any:
        """Write the files."""
        ...


def write_bundle(
    directory: str | Path,
    plan: FeaturePlan,
    model: TrainedModel,
    onnx_model: OnnxModel,
    evaluation: Saveable,
) -> None:
    """Write `model.onnx`, the model's own text (`booster.txt` of LightGBM), `plan.json`, `metrics.json` and `MLmodel` into `directory`.

    `MLmodel` names MLflow's onnx flavor, so that `mlflow.onnx.load_model` opens the graph, and python_function, so that
    `mlflow.pyfunc.load_model` and `mlflow models serve` answer as scoring on Spark does. There is no pickle in a bundle:
    opening one runs no code of its maker. `requirements.txt` has what an environment needs.
    """
    target = Path(directory)
    target.mkdir(parents=True, exist_ok=True)
    for part in (plan, model, onnx_model, evaluation):
        part.save(target)
    _write_mlmodel(target, onnx_model, plan)


def _write_mlmodel(target: Path, onnx_model: OnnxModel, plan: FeaturePlan) -> None:
    import platform

    import mlflow.pyfunc
    import onnx
    from mlflow.models import Model

    from synml_dagster.export.pyfunc import LOADER

    described = Model(signature=_signature(onnx_model, plan))
    described.add_flavor(
        "onnx",
        onnx_version=onnx.__version__,
        data="model.onnx",
        providers=["CPUExecutionProvider"],
        code=None,
        onnx_session_options=None,
    )
    (target / "requirements.txt").write_text("\n".join(_requirements()) + "\n", encoding="utf-8")
    (target / "python_env.yaml").write_text(
        f"python: {platform.python_version()}\nbuild_dependencies: [pip]\ndependencies: [-r requirements.txt]\n",
        encoding="utf-8",
    )
    mlflow.pyfunc.add_to_model(described, loader_module=LOADER, python_env="python_env.yaml")
    described.save(str(target / "MLmodel"))


def _signature(onnx_model: OnnxModel, plan: FeaturePlan) -> Any:
    """Every column may be missing. MLflow takes no whole number for a `double` and no gap in a `long`, so that what is no
    text is of any type to it, and is converted as in scoring."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import AnyType, Array

    columns = [
        ColSpec(DataType.string if tensor.type == "string" else AnyType(), tensor.name, required=False)
        for tensor in onnx_model.inputs
    ]
    answered: list[Any] = []
    if plan.label.classes:
        kinds = {"string": DataType.string, "boolean": DataType.boolean, "integer": DataType.long}
        kind = kinds.get(plan.label.storage, DataType.double)
        answered.append(ColSpec(kind, "prediction"))
        one = len(plan.label.classes) == 2
        answered.append(ColSpec(DataType.double if one else Array(DataType.double), "probability"))
        if "decision" in onnx_model.roles:
            answered += [ColSpec(kind, "decision"), ColSpec(DataType.double, "expected_cost")]
    else:
        answered.append(ColSpec(DataType.double, "prediction"))
    return ModelSignature(inputs=Schema(columns), outputs=Schema(answered))


def _requirements() -> list[str]:
    """What scoring imports, pinned to what it was exported with."""
    from importlib.metadata import version

    others = ("mlflow", "numpy", "onnx", "onnxruntime", "pandas", "pyarrow")
    return [f"{name}=={version(name)}" for name in ("synml-dagster", *others)]

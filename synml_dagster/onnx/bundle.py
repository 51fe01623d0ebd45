"""The model bundle: the directory that a trained pipeline is, in the layout that MLflow registers and serves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from synml_dagster.features import FeaturePlan
    from synml_dagster.lightgbm import LightGBMModel
    from synml_dagster.onnx.model import OnnxModel


class Saveable(Protocol):
    """Anything that writes itself as files into a directory."""

    def save(self, directory: str | Path) -> Any:
        """Write the files."""
        ...


def write_bundle(
    directory: str | Path,
    plan: FeaturePlan,
    model: LightGBMModel,
    onnx_model: OnnxModel,
    evaluation: Saveable,
) -> None:
    """Write `model.onnx`, `booster.txt`, `plan.json`, `metrics.json` and `MLmodel` into `directory`.

    `MLmodel` names MLflow's onnx flavor, so that `mlflow.onnx.load_model` opens the bundle. It does not name
    python_function: MLflow's wrapper feeds a graph of several inputs flat columns, and this one takes `[N, 1]`. There
    is no pickle in a bundle: opening one runs no code of its maker.
    """
    target = Path(directory)
    target.mkdir(parents=True, exist_ok=True)
    for part in (plan, model, onnx_model, evaluation):
        part.save(target)
    _write_mlmodel(target, onnx_model)


def _write_mlmodel(target: Path, onnx_model: OnnxModel) -> None:
    import onnx
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    kinds = {
        "string": DataType.string,
        "float": DataType.float,
        "double": DataType.double,
        "int64": DataType.long,
    }
    columns = [ColSpec(kinds.get(i.type, DataType.double), i.name) for i in onnx_model.inputs]
    described = Model(signature=ModelSignature(inputs=Schema(columns)))
    providers = ["CPUExecutionProvider"]
    described.add_flavor(
        "onnx",
        onnx_version=onnx.__version__,
        data="model.onnx",
        providers=providers,
        code=None,
        onnx_session_options=None,
    )
    described.save(str(target / "MLmodel"))

"""The stages of a pipeline: what the UI says of each."""

from __future__ import annotations

STAGES: dict[str, tuple[str, set[str]]] = {
    "raw": (
        "The table as it came from the source, in a snapshot that the whole run reads.",
        {"spark", "parquet"},
    ),
    "feature_plan": (
        "How each raw column becomes model inputs: fitted once, compiled to Spark and to ONNX.",
        {"spark"},
    ),
    "features": (
        "The model's inputs and label, split into training, validation and test rows.",
        {"spark", "parquet"},
    ),
    "sweep": (
        "Optuna's search over the learner's parameters on the training and validation rows.",
        {"optuna"},
    ),
    "model": (
        "The model, trained on the training rows with the parameters that the sweep found.",
        {"spark"},
    ),
    "evaluation": ("The model on held-out test rows: metrics and curves.", {"spark"}),
    "onnx_model": ("The whole pipeline as one ONNX graph: raw columns in, prediction out.", {"onnx"}),
    "champion": ("The model in production: a registered version that passed the promotion rule.", {"mlflow"}),
    "predictions": ("The rows scored by the champion's ONNX graph on Spark.", {"spark", "onnx", "parquet"}),
    "explanations": ("Exact SHAP values of a sample of the test rows.", {"spark", "numba"}),
    "report": ("One page for people: data, metrics, curves, importance and explained rows.", {"html"}),
}
"""Name, description and kinds of each stage, in the order of the graph."""

ON_REQUEST: dict[str, tuple[str, set[str]]] = {
    "data_balance": (
        "How the labelled rows are spread over the groups of the sensitive columns, measured before training.",
        {"spark"},
    ),
    "fairness": ("How the model's answers on the test rows differ between the groups.", {"spark"}),
    "effects": (
        "What raw columns do to the answers in general: partial dependence, single curves, accumulated effects, permutation importance.",
        {"spark", "onnx", "parquet"},
    ),
    "attributions": (
        "Test rows explained by asking the exported graph, by Kernel SHAP or LIME, by raw column.",
        {"spark", "onnx", "parquet"},
    ),
    "live_evaluation": (
        "The champion on rows that it scored before their labels were known.",
        {"spark"},
    ),
    "contributions": (
        "Why each row was scored as it was: what each raw column adds to the prediction, and the strongest reasons.",
        {"spark", "numba", "parquet"},
    ),
    "shadow_predictions": (
        "The rows scored by the champion and, beside it, by the challenger that may take its place; nothing is made while none is in shadow.",
        {"spark", "onnx", "parquet"},
    ),
}
"""The same of stages that a description asks for by `balance`, `live`, `explain` and `promote.shadow`."""

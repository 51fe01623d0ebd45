"""From a raw table to a checked ONNX graph, scores and reasons, with the libraries alone: no Dagster, no MLflow."""

# %% A raw table, as Spark reads it: scikit-learn's wines, with a column of words and some holes
from sklearn.datasets import load_wine

from synml_dagster.spark import open_session

spark = open_session()
wine = load_wine(as_frame=True)
table = wine.frame.rename(columns=lambda name: name.replace("/", "_"))
table["cellar"] = [("north", "south", "east")[i % 3] for i in range(len(table))]
table["kind"] = [str(wine.target_names[i]) for i in table.pop("target")]
table.loc[::17, "magnesium"] = None
raw = spark.createDataFrame(table)

# %% The plan: how each column becomes model inputs. It is JSON that a person can read and diff
from synml_dagster.features import SplitSpec, fit_plan

plan = fit_plan(raw, name="wine", label="kind", split=SplitSpec(test=0.3, validation=0.2))
print(f"task {plan.task}, classes {plan.label.classes}, {len(plan.feature_names)} features")
plan.save("wine_bundle")

# %% The features: float32 columns, the label as `__label`, and each row's side of the split
from synml_dagster.features import LABEL, SPLIT, assemble

features = assemble(raw, plan).cache()
train, validation, test = (
    features.where(features[SPLIT] == side) for side in ("train", "validation", "test")
)

# %% LightGBM, trained where the rows are, with early stopping
from synml_dagster.learners.lightgbm import LightGBM

model = LightGBM(
    {"objective": "multiclass", "num_class": len(plan.label.classes), "num_leaves": 7, "min_data_in_leaf": 5},
    rounds=200,
    early_stopping=20,
).fit(
    train,
    label=LABEL,
    features=plan.feature_names,
    categorical=plan.categorical_features,
    validation=validation,
)
print(model)

# %% The whole pipeline as one graph, raw columns in and predictions out, checked against Spark's own path
from synml_dagster.export import check_parity, export_pipeline
from synml_dagster.onnx import OnnxModel

onnx_model = OnnxModel(export_pipeline(plan, model))
onnx_model.save("wine_bundle/model.onnx")
parity = check_parity(spark, plan, model, onnx_model, raw)
print(f"parity: {'passed' if parity.passed else 'FAILED'}, largest difference {parity.max_difference:.2g}")
assert parity.passed

# %% Scores of raw rows, by the graph, on Spark
from synml_dagster.onnx import score

scored = score(raw, onnx_model, keep=["kind", "alcohol"])
scored.show(5)

# %% How good is it? Metrics of the test rows, which nothing before has seen
from synml_dagster.evaluation import evaluate

found = evaluate(
    model.transform(test, keep=[LABEL]),
    task=plan.task,
    label=LABEL,
    probabilities="probability",
    classes=plan.label.classes,
)
print("   ".join(f"{name} {value:.4g}" for name, value in found.metrics.items()))

# %% Why? Exact SHAP values; their sum and the base are the model's raw score
from synml_dagster.explain import explain

reasons = explain(test, model, plan)
for name, size in list(reasons.importance.items())[:5]:
    print(f"{size:8.3f}  {name}")

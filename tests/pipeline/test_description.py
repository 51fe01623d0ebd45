from __future__ import annotations

import pytest
from pydantic import ValidationError

from synml_dagster import ConfigError, MLPipeline

GIVEN = {"name": "adult", "source": "adult.csv", "label": "income"}


def test_three_keys_are_enough():
    pipeline = MLPipeline(**GIVEN)
    assert pipeline.task == "auto"
    assert pipeline.source.resolved_format() == "csv"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"lable": "x"}, "lable"),
        ({"train": {"round": 3}}, r"train\.round"),
        ({"train": {"rounds": 0}}, r"train\.rounds"),
        ({"train": {"params": {"num_leafs": 3}}}, "num_leaves"),
        ({"train": {"params": {"num_iterations": 3}}}, r"said by train\.rounds"),
        ({"sweep": {"space": {"num_leaves": {"low": 9, "high": 3}}}}, "above high"),
        ({"split": {"test": 1.5}}, r"split\.test"),
        ({"split": {"by": "time"}}, "column"),
        ({"features": {"categorical": ["income"]}}, "cannot predict itself"),
        ({"weight": "income"}, "cannot predict itself"),
        ({"task": "ranking"}, "`group`"),
        ({"task": "binary", "group": "q"}, "goes with task ranking"),
        ({"task": "binary", "promote": {"metric": "rmse"}}, "not a metric of task binary"),
        ({"promote": {"metric": "acuracy"}}, "Did you mean 'accuracy'"),
        ({"score": {"path": "a", "table": "b"}}, "keep one"),
        ({"score": {"database": {"jdbc": "jdbc:mysql://h/d", "table": "t"}}}, "written to PostgreSQL alone"),
        ({"score": {"database": {"jdbc": "jdbc:postgresql://h/d", "table": "a.b.c"}}}, "no name of a table"),
        (
            {
                "score": {
                    "database": {"jdbc": "jdbc:postgresql://h/d", "table": "t", "options": {"query": "x"}}
                }
            },
            "the option 'query' cannot be set",
        ),
        ({"score": {"table": "b"}, "partitions": {"column": "c", "static": ["d"]}}, "is replaced whole"),
        ({"automation": {"score": "every day"}}, "not a cron expression"),
        ({"automation": {"timezone": "Mars/Olympus"}}, "not a time zone"),
        ({"automation": {"on_new_data": "panic"}}, "on_new_data"),
        (
            {"source": {"sql": "SELECT 1"}, "automation": {"on_new_data": "retrain"}},
            "needs source.version_query: nothing else tells when the rows of a sql source change",
        ),
        (
            {
                "score": {"source": {"jdbc": "jdbc:x:y", "options": {"dbtable": "t"}}},
                "automation": {"on_new_data": "score"},
            },
            "needs score.source.version_query",
        ),
        (
            {"task": "regression", "evaluate": {"costs": {"false_positive": 1, "false_negative": 2}}},
            "about a yes or a no",
        ),
        ({"evaluate": {"costs": {"false_positive": 1}}}, r"evaluate\.costs\.false_negative"),
        ({"evaluate": {"costs": {"false_positive": 0, "false_negative": 0}}}, "both costs are 0"),
        ({"card": {"not_for": [""]}}, "an entry is empty"),
        ({"card": {"for": "x"}}, r"card\.for"),
        ({"explain": {"rows": 1}}, r"explain\.rows"),
        ({"name": "my pipeline"}, "cannot name a pipeline"),
        ({"name": "partitions"}, "give the pipeline another name"),
    ],
)
def test_what_cannot_be_is_refused_with_the_name_of_the_key(more, says):
    with pytest.raises(ValidationError, match=says):
        MLPipeline(**(GIVEN | more))


def test_the_graph_runs_from_raw_to_report():
    definitions = MLPipeline(**GIVEN).definitions()
    graph = definitions.resolve_asset_graph()
    keys = {key.to_user_string() for key in graph.get_all_asset_keys()}
    assert keys == {
        f"adult/{stage}"
        for stage in (
            [
                "source",
                "raw",
                "feature_plan",
                "features",
                "sweep",
                "model",
                "evaluation",
                "onnx_model",
                "champion",
                "predictions",
                "explanations",
                "report",
            ]
        )
    }
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.group_name == "adult"
        assert node.description
        assert node.kinds


def test_the_parity_check_blocks_promotion():
    graph = MLPipeline(**GIVEN).definitions().resolve_asset_graph()
    checks = {key.to_user_string(): graph.get_check_spec(key) for key in graph.asset_check_keys}
    assert checks["adult/onnx_model:parity"].blocking


def test_two_pipelines_merge_into_one_code_location():
    import dagster as dg

    one = MLPipeline(**GIVEN).definitions()
    two = MLPipeline(**(GIVEN | {"name": "bank"})).definitions()
    dg.Definitions.validate_loadable(dg.Definitions.merge(one, two))


def test_a_spec_can_be_changed_from_outside():
    defs = MLPipeline(**GIVEN).definitions(
        change_spec=lambda spec: spec.replace_attributes(owners=["team:ml"])
    )
    graph = defs.resolve_asset_graph()
    assert all(graph.get(key).owners == ["team:ml"] for key in graph.get_all_asset_keys())


def test_a_yaml_file_is_read_with_the_same_messages(tmp_path):
    file = tmp_path / "defs.yaml"
    file.write_text("attributes:\n  name: adult\n  source: adult.csv\n  label: income\n  tusk: binary\n")
    with pytest.raises(ConfigError, match="tusk"):
        MLPipeline.from_yaml(file)
    file.write_text("attributes:\n  name: adult\n  source: adult.csv\n  label: income\n")
    assert MLPipeline.from_yaml(file).label == "income"


def test_a_metric_that_is_best_at_zero_is_no_rule():
    with pytest.raises(ValueError, match="'bias' is best at 0"):
        MLPipeline(**GIVEN | {"task": "regression", "promote": {"metric": "bias"}})

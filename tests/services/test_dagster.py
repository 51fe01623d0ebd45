"""The component: from YAML to a table of answers, a table of rejected rows and a page of numbers."""

from __future__ import annotations

import dagster as dg
import pytest
import yaml
from dagster.components.core.component_tree import ComponentTreeException
from pydantic import ValidationError

from synml_dagster import ServiceColumn
from synml_dagster.resources import SparkResource
from synml_dagster.service_assets.component import ServiceComponent
from synml_dagster.tables import open_table
from tests.services.server import Server, fault


def upper(seen, nth):
    text = seen.json["t"]
    if nth == 1 and text == "t3":
        return fault(429, retry_after="0.05")
    return (
        fault(400, {"error": {"message": "bad text"}})
        if text.startswith("bad")
        else {"answer": text.upper(), "usage": {"n": 7}}
    )


WHERE = {"source": "reviews.csv"}


def told(server, **more):
    service = {
        "type": "http", "name": "upper", "url": f"{server.url}/v1", "body": {"t": "{text}"}, "answer": {"path": "answer"},
        "usage": {"input": "usage.n"}, "policy": {"first_wait": 0.02},
    }  # fmt: skip
    return {
        "name": "loud",
        "source": WHERE["source"],
        "service": service,
        "input": "review",
        "output": "shout",
    } | more


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYNML_DATA_DIR", str(tmp_path / "data"))
    texts = [f"t{i % 20}" for i in range(98)] + ["bad one", "bad two"]
    monkeypatch.setitem(WHERE, "source", str(tmp_path / "reviews.csv"))
    (tmp_path / "reviews.csv").write_text(
        "id,review\n" + "".join(f"{i},{text}\n" for i, text in enumerate(texts))
    )
    return tmp_path


def materialize(column):
    spark = SparkResource(master="local[2]")
    from synml_dagster.io_managers import SparkTableIOManager

    resources = {"spark": spark, "spark_tables": SparkTableIOManager(spark=spark)}
    return dg.materialize(
        column.assets(), resources=resources, instance=dg.DagsterInstance.ephemeral(), raise_on_error=False
    )


def test_a_run_publishes_answers_rejected_rows_and_its_numbers(classic_spark, data):
    with Server(upper) as server:
        column = ServiceColumn(
            **told(
                server,
                errors={"at_most": "10%"},
                prices={"input": 1e6},
                limits={"requests_per_minute": 60_000},
            )
        )
        run = materialize(column)
        assert run.success
        made = {
            key: value.value
            for key, value in run.asset_materializations_for_node("loud__answers")[0].metadata.items()
        }
        assert (made["rows"], made["distinct inputs"], made["deduplicated"]) == (100, 22, 78)
        assert (made["calls"], made["retried"], made["429s"], made["errors"]) == (23, 1, 1, 2)
        assert (made["tokens in"], made["cost"]) == (140, 140.0)
        assert made["rows set aside"] == 2
        assert "invalid (HTTP 400)" in made["rows set aside/reasons"]
        assert 0 < made["rate reached / quota"] < 1
        assert made["p95 seconds"] >= made["p50 seconds"] > 0
        (check,) = run.get_asset_check_evaluations()
        assert check.passed
        table = open_table(data / "data" / "loud" / "answers")
        rows = table.dataframe(classic_spark).collect()
        assert table.columns == ["id", "review", "shout"]
        assert len(rows) == 98
        assert all(row["shout"] == row["review"].upper() for row in rows)
        aside = open_table(data / "data" / "loud" / "answers_rejected").dataframe(classic_spark)
        assert {(row["review"], row["shout_error"]["message"]) for row in aside.collect()} == {
            ("bad one", "HTTP 400: bad text"), ("bad two", "HTTP 400: bad text"),
        }  # fmt: skip
        before = server.calls
        again = materialize(ServiceColumn(**told(server, errors={"at_most": 0.01})))
        assert server.calls == before + 2
        (check,) = again.get_asset_check_evaluations()
        assert not check.passed
        assert (
            check.description == "2 of 22 distinct inputs ended with an error, 0.0909 of them; 0.01 are borne"
        )


def test_a_run_without_any_answer_leaves_the_table_of_before(classic_spark, data):
    with Server(lambda seen, nth: fault(401, {"error": {"message": "wrong key"}})) as server:
        run = materialize(ServiceColumn(**told(server)))
    assert not run.success
    (failed,) = [event for event in run.all_events if event.event_type_value == "STEP_FAILURE"]
    said = failed.event_specific_data.error.message + str(failed.event_specific_data.user_failure_data)
    assert "none of 22 distinct inputs got an answer" in said
    assert "wrong key" in said


REFUSED = {
    "Did you mean 'openai.chat'": {"service": {"type": "openai.chta"}},
    "service: `type` is missing": {"service": {"model": "x"}},
    "no length of time": {"deadline": "soon"},
    "NAME of an environment variable": {"key": "sk-12-34"},
    "less than or equal to 1": {"errors": {"at_most": 7}},
    "Extra inputs are not permitted": {"limts": {}},
    "cannot name assets": {"name": "my reviews"},
    "is gone: Computer Vision": {"service": {"type": "azure.vision.ocr", "endpoint": "https://e.org"}},
}


@pytest.mark.parametrize("said", REFUSED)
def test_what_cannot_be_is_refused_when_the_graph_is_drawn(said):
    with Server(upper) as server, pytest.raises(ValidationError, match=said.replace("(", "\\(")):
        ServiceColumn(**(told(server) | REFUSED[said]))


def test_yaml_becomes_a_component_with_its_environment_filled_in(tmp_path, monkeypatch):
    from dagster.components.testing import create_defs_folder_sandbox

    monkeypatch.setenv("SYNML_TEST_ENDPOINT", "https://mine.cognitiveservices.azure.com")
    attributes = {
        "name": "moods", "source": "reviews.csv", "input": "review", "output": "mood", "key": "MY_KEY", "deadline": "2h",
        "service": {"type": "azure.language.sentiment", "endpoint": "{{ env.SYNML_TEST_ENDPOINT }}"},
        "limits": {"requests_per_minute": 900}, "senders": 1, "budget": {"requests": 1000}, "errors": {"at_most": "2%"},
    }  # fmt: skip
    with create_defs_folder_sandbox() as sandbox:
        path = sandbox.scaffold_component(
            component_cls=ServiceComponent,
            defs_yaml_contents={"type": "synml_dagster.ServiceComponent", "attributes": attributes},
        )
        with sandbox.load_component_and_build_defs(defs_path=path) as (component, defs):
            assert (
                component.column.described().url
                == "https://mine.cognitiveservices.azure.com/language/:analyze-text"
            )
            assert component.column.deadline == 7200
            given = component.column.key.over(component.column.described().key)
            assert (given.env, given.header) == ("MY_KEY", "Ocp-Apim-Subscription-Key")
            assert component.column.source.path.startswith("/")
            keys = {key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()}
            assert keys == {"moods/source", "moods/answers"}
            dg.Definitions.validate_loadable(defs)


def test_a_scaffold_runs_once_it_is_filled_in(tmp_path):
    from dagster.components.testing import create_defs_folder_sandbox

    with create_defs_folder_sandbox() as sandbox:
        params = {"source": "reviews.csv", "prompt": 'Is "{text}" good?'}
        path = sandbox.scaffold_component(component_cls=ServiceComponent, scaffold_params=params)
        written = yaml.safe_load((path / "defs.yaml").read_text())
        assert written["attributes"]["service"]["prompt"] == 'Is "{text}" good?'
        with sandbox.load_component_and_build_defs(defs_path=path) as (component, _):
            assert component.column.described().inputs == ["text"]
        empty = sandbox.scaffold_component(component_cls=ServiceComponent, defs_path="unfilled")
        with (
            pytest.raises(ComponentTreeException) as refused,
            sandbox.load_component_and_build_defs(defs_path=empty),
        ):
            pass
        assert "as it was scaffolded" in str(refused.value.__cause__)

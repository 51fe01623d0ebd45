from __future__ import annotations

import pytest

from synml_dagster.errors import ConfigError
from synml_dagster.learners.lightgbm import check_params
from synml_dagster.learners.lightgbm.params import REFUSED, REFUSED_ON_SEVERAL, catalogue
from synml_dagster.learners.lightgbm.values import check_value


def test_every_name_that_lightgbm_knows_is_accepted_or_refused_with_a_reason():
    for name, main in catalogue().items():
        value = "data" if main == "tree_learner" else "cpu" if main == "device_type" else 1
        if main in REFUSED:
            with pytest.raises(ConfigError, match=f"'{name}' cannot be set here: .{{10}}"):
                check_params({name: value})
        else:
            assert check_params({name: value}) == {main: value}


def test_every_refusal_is_about_a_parameter_that_lightgbm_has():
    assert set(REFUSED) | set(REFUSED_ON_SEVERAL) <= set(catalogue().values())


def test_a_misspelt_name_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"no parameter 'num_leafs'. Did you mean .*'num_leaves'"):
        check_params({"num_leafs": 31})


def test_two_names_of_one_parameter_must_agree():
    assert check_params({"eta": 0.1, "learning_rate": 0.1}) == {"learning_rate": 0.1}
    with pytest.raises(ConfigError, match=r"'eta' and 'learning_rate' are two names"):
        check_params({"eta": 0.1, "learning_rate": 0.2})


def test_none_means_the_default():
    assert check_params({"num_leaves": None}) == {}


@pytest.mark.parametrize("name", sorted(REFUSED_ON_SEVERAL))
def test_what_is_honest_on_one_rank_alone_is_refused_on_several(name):
    assert check_params({name: "yes"}, ranks=1) == {name: "yes"}
    assert check_params({name: False}, ranks=2) == {name: False}
    with pytest.raises(ConfigError, match="cannot be honoured on 2 ranks"):
        check_params({name: "yes"}, ranks=2)


def test_feature_parallel_is_refused():
    with pytest.raises(ConfigError, match="tree_learner='feature'"):
        check_params({"tree": "feature"})


@pytest.mark.parametrize(
    ("name", "value"),
    [("monotone_constraints", "1,-1,0"), ("max_bin_by_feature", "255,63"), ("feature_contri", "1,0.5")],
)
def test_values_of_each_feature_are_asked_of_no_table_of_one(name, value):
    check_value(name, value, "train.params")

"""Other searches on rows that `quality.py` has written; runs in an environment of their own.

python peers.py LightGBMTuner|FLAML|H2O rows.npz binary|multiclass|regression SECONDS SEED THREADS
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from measures import measured

ROUNDS, PATIENCE = 500, 30


def tuner(data, task, seconds, seed, threads):
    """Optuna's stepwise tuner with its own 68 trials, the best booster that it found."""
    import lightgbm as lgb
    import optuna
    from optuna_integration.lightgbm import LightGBMTuner

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    categorical = data["categorical"].tolist()
    objective = {"binary": "binary", "multiclass": "multiclass", "regression": "regression"}[task]
    metric = {"binary": "binary_logloss", "multiclass": "multi_logloss", "regression": "rmse"}[task]
    params = {"objective": objective, "metric": metric, "verbosity": -1, "num_threads": threads, "seed": seed}
    if task == "multiclass":
        params["num_class"] = int(data["t_y"].max()) + 1
    train = lgb.Dataset(data["t_X"], data["t_y"], categorical_feature=categorical, free_raw_data=False)
    held = lgb.Dataset(data["v_X"], data["v_y"], reference=train, free_raw_data=False)
    found = LightGBMTuner(
        params,
        train,
        valid_sets=[held],
        num_boost_round=ROUNDS,
        callbacks=[lgb.early_stopping(PATIENCE, verbose=False)],
        show_progress_bar=False,
        optuna_seed=seed,
    )
    found.run()
    best = found.get_best_booster()
    return best.predict(data["s_X"], num_iteration=best.best_iteration), {"held": found.best_score}


def flaml(data, task, seconds, seed, threads):
    """FLAML for as long as ours took; it is given training and validation rows together and parts them as it likes."""
    import pandas as pd
    from flaml import AutoML

    X = [pd.DataFrame(data[f"{part}_X"]) for part in "tvs"]
    for i in data["categorical"].tolist():
        for frame in X:
            frame[i] = pd.Categorical(frame[i].fillna(-1).astype(int))
    model = AutoML()
    model.fit(
        pd.concat(X[:2], ignore_index=True),
        np.concatenate([data["t_y"], data["v_y"]]),
        task="regression" if task == "regression" else "classification",
        metric="rmse" if task == "regression" else "log_loss",
        time_budget=float(seconds),
        n_jobs=threads,
        seed=seed,
        verbose=0,
    )
    if task == "regression":
        answers = model.predict(X[2])
    else:
        answers = model.predict_proba(X[2])
        answers = answers[:, 1] if task == "binary" else answers
    return answers, {"learner": model.best_estimator}


def h2o(data, task, seconds, seed, threads):
    """H2O's AutoML for as long as ours took, stacked ensembles among its models; it, too, parts training and validation rows as it likes."""
    import h2o as server
    import pandas as pd
    from h2o.automl import H2OAutoML

    names = [f"x{i}" for i in range(data["t_X"].shape[1])]
    categorical = [names[i] for i in data["categorical"].tolist()]
    server.init(nthreads=threads, max_mem_size="6G", log_level="ERRR", port=54399)
    server.no_progress()
    try:
        frames = []
        for X, y in (
            (np.concatenate([data["t_X"], data["v_X"]]), np.concatenate([data["t_y"], data["v_y"]])),
            (data["s_X"], data["s_y"]),
        ):
            frame = server.H2OFrame(pd.DataFrame(X, columns=names).assign(y=y))
            for name in [*categorical, *(["y"] if task != "regression" else [])]:
                frame[name] = frame[name].asfactor()
            frames.append(frame)
        model = H2OAutoML(
            max_runtime_secs=int(float(seconds)),
            seed=seed,
            sort_metric="RMSE" if task == "regression" else "logloss",
        )
        model.train(x=names, y="y", training_frame=frames[0])
        answers = model.leader.predict(frames[1]).as_data_frame(use_multi_thread=False)
        leader = model.leader.model_id
    finally:
        server.cluster().shutdown()
    if task == "regression":
        return answers["predict"].to_numpy(), {"learner": leader}
    answers = answers.drop(columns="predict").to_numpy()
    return answers[:, 1] if task == "binary" else answers, {"learner": leader}


def main() -> None:
    name, file, task, seconds, seed, threads = sys.argv[1:]
    data = np.load(file)
    began = time.monotonic()
    answers, more = {"LightGBMTuner": tuner, "FLAML": flaml, "H2O": h2o}[name](
        data, task, seconds, int(seed), int(threads)
    )
    told = {"seconds": time.monotonic() - began, "found": measured(task, answers, data["s_y"]), **more}
    print(json.dumps(told))


if __name__ == "__main__":
    main()

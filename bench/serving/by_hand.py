"""What one writes by hand in an hour: FastAPI, and the rows fed to ONNX Runtime as they are, without a check.

MODEL=bundle uvicorn bench.serving.by_hand:app --port 8083 --log-level warning
"""

from __future__ import annotations

import os

import numpy as np
import onnxruntime
from fastapi import FastAPI, Request

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(f"{os.environ['MODEL']}/model.onnx", options)
TYPES = {i.name: object if "string" in i.type else np.float64 for i in session.get_inputs()}
app = FastAPI()


@app.post("/invocations")
async def invocations(request: Request) -> dict:
    rows = (await request.json())["dataframe_records"]
    feed = {
        name: np.array([[row[name] if row[name] is not None else ""] for row in rows], dtype=kind)
        for name, kind in TYPES.items()
    }
    label, probabilities = session.run(["label", "probabilities"], feed)
    return {
        "predictions": [
            {"prediction": a, "probability": float(b)}
            for a, b in zip(label, probabilities[:, 1], strict=True)
        ]
    }

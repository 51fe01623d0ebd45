"""The asset of what questions find: each is compared with every chunk."""

from pathlib import Path

import dagster as dg
import numpy as np

from synml_dagster.resources import SparkResource
from synml_dagster.services import call_service, openai

HERE = Path(__file__).parent / "data"
QUESTIONS = (
    "How hot should the water for coffee be?",
    "Why do my brakes squeal?",
    "What do I feed my sourdough starter with?",
    "How often do I pump up tyres?",
)
NEAREST = 2


@dg.asset(
    key=["documents", "found"],
    group_name="documents",
    ins={"answers": dg.AssetIn(["documents", "answers"])},
    kinds={"markdown"},
)
def found(spark: SparkResource, answers: object) -> dg.MaterializeResult:
    """Write `data/found.md`: the nearest chunks of each question."""
    chunks = answers.dataframe(spark.session).collect()
    vectors = np.array([row["vector"] for row in chunks])
    frame = spark.session.createDataFrame([(one,) for one in QUESTIONS], "question string")
    embedder = openai.embeddings(
        model="words", text="question", base_url="http://127.0.0.1:8767/v1", key=None
    )
    asked = call_service(frame, embedder, output="vector", journal=str(HERE / "journal")).frame.collect()
    lines = []
    for row in sorted(asked, key=lambda row: QUESTIONS.index(row["question"])):
        near = vectors @ np.array(row["vector"])  # all have length 1: the cosine
        lines.append(f"## {row['question']}\n")
        for place in np.argsort(-near)[:NEAREST]:
            chunk = chunks[place]
            lines.append(f"- {chunk['document']} {chunk['place']} ({near[place]:.2f}): {chunk['chunk']}")
        lines.append("")
    text = "\n".join(lines)
    (HERE / "found.md").write_text(text)
    return dg.MaterializeResult(
        metadata={"chunks": len(chunks), "questions": len(QUESTIONS), "found": dg.MetadataValue.md(text)}
    )

"""The asset of translated documents: segments put together again, a file each."""

from pathlib import Path

import dagster as dg
from segments import cut, joined

from synml_dagster.resources import SparkResource

HERE = Path(__file__).parent / "data"


@dg.asset(
    key=["translation", "documents"],
    group_name="translation",
    ins={"answers": dg.AssetIn(["translation", "answers"])},
    kinds={"markdown"},
)
def documents(spark: SparkResource, answers: object) -> dg.MaterializeResult:
    """Write `data/translated/<document>.md`."""
    rows = [row.asDict() for row in answers.dataframe(spark.session).collect()]
    translated = {(row["document"], row["place"]): row["german"] for row in rows}
    out, stayed = HERE / "translated", 0
    out.mkdir(exist_ok=True)
    names = sorted(path.stem for path in (HERE / "documents").glob("*.md"))
    for name in names:
        segments = cut(name, (HERE / "documents" / f"{name}.md").read_text())
        text, kept = joined([one | {"german": translated.get((name, one["place"]))} for one in segments])
        (out / f"{name}.md").write_text(text)
        stayed += kept
    return dg.MaterializeResult(
        metadata={"documents": len(names), "segments": len(rows), "segments that stay as they are": stayed}
    )

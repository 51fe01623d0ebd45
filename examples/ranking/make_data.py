"""Writes `data/shown.parquet`: 400 queries with 8 to 20 documents each, graded 0 to 3."""

from pathlib import Path

import numpy as np
import pandas as pd


def main() -> None:
    """Write the table."""
    rng, parts = np.random.default_rng(11), []
    for query in range(400):
        rows = int(rng.integers(8, 21))
        words = rng.beta(2, 3, rows)
        links = rng.poisson(4, rows)
        age = rng.exponential(200, rows)
        worth = 3 * words + 0.15 * links - 0.002 * age + rng.normal(0, 0.3, rows)
        parts.append(
            pd.DataFrame(
                {
                    "query": f"q{query}",
                    "document": [f"d{query}-{place}" for place in range(rows)],
                    "word_match": words,
                    "links": links,
                    "age_days": age,
                    "language": rng.choice(["de", "en", "fr"], rows),
                    "grade": np.clip(np.round(worth), 0, 3).astype(int),
                }
            )
        )
    folder = Path(__file__).parent / "data"
    folder.mkdir(exist_ok=True)
    pd.concat(parts, ignore_index=True).to_parquet(folder / "shown.parquet", index=False)
    print(f"wrote {folder / 'shown.parquet'}")


if __name__ == "__main__":
    main()

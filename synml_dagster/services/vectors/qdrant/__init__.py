"""Points of a Qdrant collection, over its REST API."""

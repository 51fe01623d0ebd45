"""Machine learning pipelines on Spark, operated by Dagster."""

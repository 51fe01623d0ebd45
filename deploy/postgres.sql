-- Dagster's database is POSTGRES_DB; MLflow has one of its own.
CREATE DATABASE mlflow;

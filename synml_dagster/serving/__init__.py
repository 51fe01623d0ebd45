"""The champion as an HTTP service: MLflow's `/invocations` and the Open Inference Protocol over one ASGI application."""

from synml_dagster.serving.app import ServingApp, create_app
from synml_dagster.serving.options import ServingOptions
from synml_dagster.serving.reports import serve_reports
from synml_dagster.serving.server import serve

__all__ = ["ServingApp", "ServingOptions", "create_app", "serve", "serve_reports"]

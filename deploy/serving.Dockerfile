# syntax=docker/dockerfile:1
# A model over HTTP: no Java, no Spark, no Dagster. Build it from the repository's root:
#   docker build -f deploy/serving.Dockerfile -t synml-serving .
#   docker run -p 127.0.0.1:8080:8080 -e MLFLOW_TRACKING_URI=http://mlflow.example.org:5000 synml-serving models:/adult@champion
FROM python:3.12-slim-bookworm AS wheel
WORKDIR /build
COPY requirements-installer.lock requirements-build.lock ./
RUN python -m pip install --no-cache-dir --require-hashes -r requirements-installer.lock
COPY pyproject.toml README.md LICENSE ./
COPY synml_dagster ./synml_dagster
RUN uv build --wheel --build-constraints requirements-build.lock --require-hashes --out-dir /dist .

FROM python:3.12-slim-bookworm
COPY requirements-installer.lock requirements.lock /build/
RUN python -m pip install --no-cache-dir --require-hashes -r /build/requirements-installer.lock
COPY --from=wheel /dist /dist
# What a server imports, in the versions of the lock; the rest of the package's needs are those of training.
RUN uv pip install --system --no-cache --compile-bytecode --constraints /build/requirements.lock \
      fsspec httptools mlflow-skinny numpy onnx onnxruntime pyarrow pydantic starlette tzdata uvicorn uvloop \
    && uv pip install --system --no-cache --compile-bytecode --no-deps /dist/*.whl

RUN useradd --uid 10001 --create-home app && mkdir /srv/data && chown app /srv/data
USER 10001
WORKDIR /srv
ENV SYNML_DATA_DIR=/srv/data \
    MLFLOW_DISABLE_TELEMETRY=true \
    PYTHONUNBUFFERED=1
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/v2/health/ready', timeout=4)"]
# All addresses, of the container: which of the host's reach it, `docker run -p` says.
ENTRYPOINT ["synml", "serve", "--host", "0.0.0.0"]

"""The HTTP API: FastAPI over pipelines. Routes are thin; what crosses the wire is typed in serving/wire."""

# syntax=docker/dockerfile:1
# Two images from one file: `orimono` (code location, Dagster's webserver and daemon, API, migrations: the command says
# which) and `airflow` (Airflow with the DAGs of dags/airflow). Versions are pinned here and in the two uv.lock files.

FROM python:3.11.14-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

FROM base AS builder
RUN pip install --no-cache-dir --disable-pip-version-check uv==0.13.8
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never

# Dependencies alone, so that a change of the code does not install them again.
FROM builder AS dependencies
WORKDIR /opt/orimono
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-dev --no-install-project --extra celery --extra docker --extra kubernetes --extra ray --extra tracing

FROM builder AS airflow-dependencies
WORKDIR /opt/airflow
COPY dags/airflow/pyproject.toml dags/airflow/uv.lock ./
RUN uv sync --frozen --no-dev --no-install-project

FROM base AS airflow
RUN useradd --uid 10001 --no-create-home --home-dir /var/lib/airflow --shell /usr/sbin/nologin airflow \
    && install --directory --owner=10001 --group=10001 --mode=0750 /var/lib/airflow /var/lib/airflow/logs
COPY --from=airflow-dependencies /opt/airflow/.venv /opt/airflow/.venv
COPY dags/cadences.py /opt/airflow/app/dags/cadences.py
COPY dags/airflow /opt/airflow/app/dags/airflow
ENV PATH=/opt/airflow/.venv/bin:/usr/local/bin:/usr/bin:/bin \
    AIRFLOW_HOME=/var/lib/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/airflow/app/dags/airflow \
    AIRFLOW__CORE__LOAD_EXAMPLES=False
WORKDIR /var/lib/airflow
USER 10001:10001

FROM base AS orimono
# LightGBM alone needs a library that the base has not.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --home-dir /var/lib/orimono --shell /usr/sbin/nologin orimono \
    && install --directory --owner=10001 --group=10001 --mode=0750 \
       /var/lib/orimono /var/lib/orimono/home /var/lib/orimono/home/dagster
COPY --from=dependencies /opt/orimono/.venv /opt/orimono/.venv
COPY definitions.py pyproject.toml alembic.ini /opt/orimono/app/
COPY sample /opt/orimono/app/sample
COPY deploy /opt/orimono/app/deploy
COPY deploy/dagster.yaml /opt/dagster/dagster_home/dagster.yaml
COPY pipelines /opt/orimono/app/pipelines
COPY assets /opt/orimono/app/assets
COPY resources /opt/orimono/app/resources
COPY dags /opt/orimono/app/dags
COPY serving /opt/orimono/app/serving
RUN python -m compileall -q --invalidation-mode unchecked-hash /opt/orimono/app
# The home is a folder of the volume, not the volume: a restored one is prepared beside it and renamed.
# The first folder holds `orimono`, and `dagster-webserver` behind the guard, whoever calls it (Dagster's chart does).
ENV PATH=/opt/orimono/app/deploy/bin:/opt/orimono/.venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/orimono/app \
    ORIMONO_HOME=/var/lib/orimono/home \
    DAGSTER_HOME=/opt/dagster/dagster_home \
    HOME=/tmp \
    TMPDIR=/var/lib/orimono/tmp \
    MPLCONFIGDIR=/tmp/matplotlib \
    NUMBA_CACHE_DIR=/tmp/numba
WORKDIR /opt/orimono/app
USER 10001:10001
ENTRYPOINT ["python", "-m", "serving.container"]
CMD ["python", "-m", "serving.cli", "config"]

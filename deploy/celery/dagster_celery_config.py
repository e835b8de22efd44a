"""What a Celery worker of dagster.celery.yaml is started with: dagster_celery.app looks for a module of this name."""

import os

broker_url = os.environ["DAGSTER_CELERY_BROKER_URL"]
result_backend = os.environ["DAGSTER_CELERY_BACKEND_URL"]
worker_prefetch_multiplier = 1  # a run is hours of work: none waits behind another while a worker is idle

# The service, on the same pinned requirements as development and nothing else. It serves plain HTTP for a proxy to stand
# in front (deploy/nginx.conf), runs as nobody in particular and writes nothing: its file system may be read-only.
FROM python:3.11.15-slim-bookworm

ENV PYTHONUNBUFFERED=1 \
    SPATIALFLOW_ENV=production

WORKDIR /srv/spatialflow

COPY requirements.txt ./
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore -r requirements.txt

# What the build sees is listed in .dockerignore.
COPY . ./
RUN python -m compileall -q .

RUN useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin spatialflow
USER 10001:10001

EXPOSE 8000
STOPSIGNAL SIGTERM

HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --start-interval=1s --retries=3 \
    CMD ["python", "-m", "deploy.healthcheck"]

# `exec`, so that granian and not the shell gets the signal to stop.
CMD ["sh", "-c", "exec granian --interface wsgi --host 0.0.0.0 --port 8000 --workers ${WEB_CONCURRENCY:-2} --blocking-threads ${BLOCKING_THREADS:-4} --no-ws --respawn-failed-workers --workers-kill-timeout 10 --log-level warning spatialflow.wsgi:application"]

# One image for web, worker and one-off commands: see compose.yaml.
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app

COPY requirements.txt requirements-traces.txt ./
RUN pip install --quiet --require-hashes -r requirements.txt -r requirements-traces.txt

COPY . .
RUN python -m compileall -q dataelan_web serve.py wsgi.py \
 && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin app \
 && mkdir /data && chown app:app /data

USER app
ENV DATAELAN_DATA_DIR=/data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]

CMD ["python", "serve.py", "--host", "0.0.0.0", "--port", "8000"]

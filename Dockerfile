# Build: docker build --build-arg BASE=python:3.11-slim-bookworm -t goa .
# For GPUs give a BASE with the CUDA runtime and CPython 3.11; the lock's torch is then the CUDA build.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends git make python3-venv \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /goa
COPY pyproject.toml requirements.lock ./
RUN python3 -m venv .venv \
 && .venv/bin/pip install --no-cache-dir -r requirements.lock

FROM build
COPY . .
RUN .venv/bin/pip install --no-cache-dir --no-deps -e . \
 && touch .venv/run \
 && useradd --create-home goa \
 && chown -R goa /goa
USER goa
ENV PATH=/goa/.venv/bin:$PATH
CMD ["goa", "run"]

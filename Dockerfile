# docker build -t goa .          How to build elsewhere, run, and use GPUs: docs/containers.md
# Any image of Debian's family with CPython 3.11 or newer, or whose packages have one.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends build-essential ca-certificates \
      $(python3 -c 'import ensurepip' 2>/dev/null || echo python3-dev python3-venv)
WORKDIR /project
COPY pyproject.toml requirements.lock ./
# Empty: torch is the build that pip's own index offers. Else an index of another build of it,
# asked for torch alone, so that nothing else can come from there.
ARG TORCH_INDEX=
# Which of pyproject.toml's extras the image has.
ARG EXTRAS="embeddings peft servers"
# goa itself is installed as the address of its sources, which are not here: when they change,
# nothing in the environment does. Its extras name one another by goa's name, so they are asked of
# this folder: an index has a stranger's goa, or none.
# pip is set up by the builder's pip.conf, if it is given as a secret: mirrors stay out of the image.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    python3 -m venv /opt/goa \
 && if [ -n "${TORCH_INDEX}" ]; then \
      /opt/goa/bin/pip install --no-cache-dir --no-deps --index-url "${TORCH_INDEX}" \
        "$(grep '^torch==' requirements.lock)"; \
    fi \
 && mkdir goa pipelines \
 && touch LICENSE README.md goa/__init__.py pipelines/__init__.py \
 && /opt/goa/bin/pip install --no-cache-dir --constraint requirements.lock \
      --editable ".${EXTRAS:+[$(echo ${EXTRAS} | tr ' ' ,)]}" \
 && touch /opt/goa/run  # for make: complete

FROM ${BASE}
# HOME is everybody's: whoever `docker run --user` names keeps caches there.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates git make \
      $(command -v python3 >/dev/null || echo python3) \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --create-home goa \
 && chmod 1777 /home/goa \
 && install --directory --owner goa --group goa /project \
 && git config --system --add safe.directory /project
COPY --from=build /opt/goa /opt/goa
COPY --chown=goa:goa . /project
# A checkout of the user's may cover /project: commands and stages then are those of the checkout.
ENV PATH=/opt/goa/bin:$PATH VENV=/opt/goa HOME=/home/goa USER=goa PYTHONUNBUFFERED=1 \
    PREFECT_SERVER_ALLOW_EPHEMERAL_MODE=false \
    PREFECT_SERVER_ANALYTICS_ENABLED=false DO_NOT_TRACK=1 \
    MLFLOW_DISABLE_TELEMETRY=true DVC_NO_ANALYTICS=1
WORKDIR /project
USER 10001:10001
# These sources came without their git repository; a mounted checkout has its own say.
RUN dvc config --local core.no_scm true
CMD ["goa", "run"]

# affectstream in an image: `docker build --target app .`, or `--target gpu` for a machine with an NVIDIA GPU.
# The same tree gives the same files: packages are pinned by hash, the detector's model by checksum, nothing comes from
# apt, and compiled Python is checked by its content, not by its time. For the same image to the byte, build with
# SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) docker buildx build --output type=docker,rewrite-timestamp=true .
ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS tools
ARG SOURCE_DATE_EPOCH=1735689600
ENV SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH} PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/affectstream
ENV PATH=/opt/affectstream/bin:${PATH} TENSORFLOW=/opt/affectstream/lib/python3.11/site-packages/tensorflow
WORKDIR /build

# The packages come before the program: they change seldom, and their layer is kept.
FROM tools AS packages
COPY requirements.runtime.lock ./
RUN pip install --require-hashes --only-binary :all: -r requirements.runtime.lock && rm -r ${TENSORFLOW}/include

FROM tools AS gpu-packages
COPY requirements.gpu.lock ./
RUN pip install --require-hashes --only-binary :all: -r requirements.gpu.lock && rm -r ${TENSORFLOW}/include

FROM packages AS wheel
COPY pyproject.toml LICENSE README.md ./
COPY contracts contracts
COPY ingest ingest
COPY detector detector
COPY classifier classifier
COPY aggregator aggregator
COPY storage storage
COPY dashboards dashboards
COPY pipeline pipeline
COPY benchmarks benchmarks
RUN pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /wheels .

FROM packages AS program
COPY --from=wheel /wheels /wheels
RUN pip install --no-deps --no-index /wheels/*.whl

FROM gpu-packages AS gpu-program
COPY --from=wheel /wheels /wheels
RUN pip install --no-deps --no-index /wheels/*.whl

FROM program AS model
RUN AFFECTSTREAM_MODELS=/opt/models affectstream models pull

# What both images share. Nobody: no name, no shell, no home; only /tmp is written to.
FROM ${PYTHON} AS base
ENV PATH=/opt/affectstream/bin:${PATH} PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp MPLCONFIGDIR=/tmp \
    TF_CPP_MIN_LOG_LEVEL=2 AFFECTSTREAM_MODELS=/opt/models AFFECTSTREAM_WORKER_ADDRESS=0.0.0.0 AFFECTSTREAM_WORKER_PORT=9100
WORKDIR /tmp
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=90s --retries=6 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9100/ready', timeout=4)"]
ENTRYPOINT ["affectstream"]
CMD ["--help"]

FROM base AS gpu
COPY --from=gpu-program /opt/affectstream /opt/affectstream
COPY --from=model /opt/models /opt/models

FROM base AS app
COPY --from=program /opt/affectstream /opt/affectstream
COPY --from=model /opt/models /opt/models

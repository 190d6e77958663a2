# The service as an image; what the arguments and secrets are for: docs/guide/operations.md.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
# What the encoder runs on, cpu or cuda: the names of two stages below.
ARG DEVICE=cpu

# The virtual environment, all but the service itself. This stage depends on the lock alone, so that
# a change of the code does not install torch again.
FROM ${PYTHON_IMAGE} AS environment
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
RUN ["python", "-m", "venv", "--without-pip", "/opt/venv"]
# Optional dependencies to install as well, by their name in pyproject.toml: openvino.
ARG EXTRAS=
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca_bundle,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=bind,source=requirements,target=/requirements \
    pip --python /opt/venv/bin/python install --require-hashes -r "/requirements/${EXTRAS:-run}.txt"
# Empty: torch from the index that pip is set up with. Its C++ tests and headers, 190 MB, stay out.
ARG TORCH_INDEX=
# The CUDA version that torch must be built for, so that no index gives another; empty: any or none.
ARG TORCH_CUDA=
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca_bundle,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=bind,source=requirements/torch.txt,target=/torch.txt \
    --mount=type=bind,source=docker/torch_cuda.py,target=/torch_cuda.py \
    pip --python /opt/venv/bin/python install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} -r /torch.txt \
    && /opt/venv/bin/python /torch_cuda.py "$TORCH_CUDA" \
    && rm -rf /opt/venv/lib/python3*/site-packages/torch/test \
    /opt/venv/lib/python3*/site-packages/torch/bin/*test* \
    /opt/venv/lib/python3*/site-packages/torch/include


# The service as a wheel, built by the setuptools of the lock.
FROM environment AS wheel
WORKDIR /source
COPY . .
RUN pip --python /opt/venv/bin/python wheel --no-deps --no-index --no-build-isolation --wheel-dir /wheel .


FROM ${PYTHON_IMAGE} AS cpu


# Kernels are compiled where they run. Triton brings what that takes, but for a C compiler; Python's
# headers are in the base image. Caches lie on a volume, as what is in them is loaded and executed.
FROM ${PYTHON_IMAGE} AS cuda
# Unpinned: a mirror of Debian keeps one version of a package alone.
# hadolint ignore=DL3008
RUN --mount=type=secret,id=ca_bundle,target=/etc/ssl/certs/ca-certificates.crt \
    apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/* \
    && install --directory --owner=10001 --group=10001 /var/cache/crop-planner
ENV CUDA_CACHE_PATH=/var/cache/crop-planner/cuda \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    TORCHINDUCTOR_CACHE_DIR=/var/cache/crop-planner/inductor \
    TRITON_CACHE_DIR=/var/cache/crop-planner/triton


FROM ${DEVICE} AS runtime
# The identity and what it may write: its profiles (and kernels, above). Everything else belongs to root.
RUN groupadd --gid 10001 crop-planner \
    && useradd --uid 10001 --gid 10001 --no-log-init --no-create-home \
    --home-dir /var/lib/crop-planner --shell /usr/sbin/nologin crop-planner \
    && install --directory --owner=10001 --group=10001 /var/lib/crop-planner
COPY --from=environment /opt/venv /opt/venv
RUN --mount=type=bind,from=wheel,source=/wheel,target=/wheel \
    pip --python /opt/venv/bin/python install --no-cache-dir --no-deps --no-index /wheel/*.whl
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    CROP_PLANNER_HOST=0.0.0.0 \
    CROP_PLANNER_PROFILE_FOLDER=/var/lib/crop-planner
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
# Alive, not ready: planning answers while the encoder still loads. The start interval makes
# "healthy" come as soon as it is true.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --start-interval=1s --retries=3 \
    CMD ["python", "-ISc", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('CROP_PLANNER_PORT', '8000')), timeout=8); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
CMD ["crop-planner", "serve"]
# Last, so that another version or revision reuses every layer.
ARG VERSION=dev
ARG REVISION=
LABEL org.opencontainers.image.title="crop-planner" \
      org.opencontainers.image.description="Plan, measure and control the cost of an image for a Molmo vision-language model." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

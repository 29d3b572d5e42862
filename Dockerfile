# The server: web app, HTTP API and terminal; docker-compose.yml starts it with Qdrant.
#   docker build .                          PyTorch for CPUs, the default
#   docker build --build-arg TORCH=cuda .   PyTorch for NVIDIA GPUs, larger by gigabytes
ARG PYTHON=3.11.14-slim-bookworm

FROM python:${PYTHON} AS installed
ARG TORCH=cpu
# PyTorch's own index, asked for the builds without CUDA; it holds torch and torchvision as a pair.
ARG TORCH_CPU_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/mrag
ENV PATH=/opt/mrag/bin:$PATH
WORKDIR /source
# The packages first: their layer is kept while only the program changes. A build for CPUs is
# `2.15.0+cpu`, which fits the constraint `2.15.0` and goes before it, so it is taken where offered.
COPY constraints.txt pyproject.toml ./
RUN python -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
print(*project['dependencies'], *project['optional-dependencies']['mcp'], sep='\n')" > needed.txt \
    && case "$TORCH" in \
        cpu) set -- --extra-index-url "$TORCH_CPU_INDEX" ;; \
        cuda) set -- ;; \
        *) echo "TORCH is $TORCH; it must be cpu or cuda" >&2; exit 1 ;; \
    esac \
    && pip install --constraint constraints.txt --requirement needed.txt "$@" \
    && if [ "$TORCH" = cpu ]; then \
        python -c "import torch; assert '+cpu' in torch.__version__, torch.__version__"; \
    fi
COPY . .
RUN pip install --no-deps . && python -m compileall -q /opt/mrag

FROM python:${PYTHON}
# Java for the caption metrics. Debian keeps one version of it, so that none can be named.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends default-jre-headless \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --create-home mrag \
    && mkdir /data /cache /pictures /home/mrag/.streamlit \
    && chown mrag:mrag /data /cache
COPY --from=installed /opt/mrag /opt/mrag
ENV PATH=/opt/mrag/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MRAG_HOME=/data \
    MRAG_CACHE=/cache/mrag \
    MRAG_SOURCE_ROOT=/pictures \
    HF_HOME=/cache/huggingface \
    XDG_CACHE_HOME=/cache \
    MPLCONFIGDIR=/tmp/matplotlib
# By number, so that whoever starts it can see that it is not root.
USER 10001:10001
WORKDIR /data
EXPOSE 8501
VOLUME ["/data", "/cache"]
# The first start fills the sample collections.
HEALTHCHECK --interval=10s --timeout=5s --retries=6 --start-period=180s CMD \
    ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=3)"]
CMD ["mrag", "serve", "--address", "0.0.0.0"]

# The web app; docker-compose.yml starts it with Qdrant.
FROM python:3.11.14-slim-bookworm

# A user of its own, and the folders that volumes take their owner from.
RUN useradd --uid 10001 --create-home mrag \
    && mkdir /data /cache \
    && chown mrag:mrag /data /cache
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

WORKDIR /app
# The packages first: their layer is kept while only the program changes.
COPY constraints.txt pyproject.toml ./
RUN python -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
print(*project['dependencies'], sep='\n')" > /tmp/requirements.txt \
    && pip install --no-cache-dir --constraint constraints.txt --requirement /tmp/requirements.txt

COPY . .
RUN pip install --no-cache-dir --no-deps --editable .
USER mrag
EXPOSE 8501
VOLUME ["/data", "/cache"]
CMD ["mrag", "app", "--address", "0.0.0.0"]

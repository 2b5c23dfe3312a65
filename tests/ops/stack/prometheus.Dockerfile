# Prometheus and its Alertmanager for tests where the public images cannot be pulled: Debian's.
ARG BASE_IMAGE=debian:bookworm-slim
FROM ${BASE_IMAGE}
RUN apt-get update && apt-get install -y --no-install-recommends prometheus prometheus-alertmanager wget \
    && rm -rf /var/lib/apt/lists/* && install -d -o 65534 -g 65534 /prometheus
ENTRYPOINT ["prometheus"]

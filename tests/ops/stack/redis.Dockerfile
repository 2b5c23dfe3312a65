# Redis for tests where the public image cannot be pulled: Debian's, with the public image's user and folder.
ARG BASE_IMAGE=debian:bookworm-slim
FROM ${BASE_IMAGE}
RUN apt-get update && apt-get install -y --no-install-recommends redis-server && rm -rf /var/lib/apt/lists/* \
    && groupmod -g 999 redis && usermod -u 999 -g 999 redis && install -d -o 999 -g 999 /data

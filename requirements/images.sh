#!/usr/bin/env bash
# Export what each container image installs, with hashes, from uv.lock to requirements/<image>.txt. Called by `make lock`.
# torch is left out: the images that need it take the CPU or CUDA build that they are made for.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=${UV:-.venv/bin/uv}

mapfile -t accelerator < <(sed -nE 's/^name = "((nvidia|cuda).*)"/\1/p' uv.lock)
prune=()
for package in "${accelerator[@]}"; do prune+=(--prune "$package"); done

# image file, then the extras of pyproject.toml that it is made of
while read -r image extras; do
  extra=()
  for name in $extras; do extra+=(--extra "$name"); done
  "$uv" export --frozen --quiet "${extra[@]}" --no-emit-project --no-emit-package torch "${prune[@]}" \
    --no-annotate --no-header -o "requirements/$image.txt"
done <<'IMAGES'
judge judge tracing
agent agent tracing
trainer trainer
engine-cpu engine-cpu
IMAGES
echo hatchling==1.27.0 | "$uv" pip compile --quiet --generate-hashes --no-annotate --no-header --no-emit-index-url \
  --python-version 3.11 -o requirements/build.txt -

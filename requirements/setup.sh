#!/usr/bin/env bash
# Make or update the environment: a venv, CPU torch, the locked packages (hash-checked), then this project. Needs python and venv only.
# Called by `make setup` with VENV (folder) and TORCH (version). Running it again changes only what differs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

step() { echo "[setup] $*"; }
fail() { echo "[setup] error: $*" >&2; exit 1; }

# A candidate counts if it runs, has the right version and can make environments.
find_python() {
  local candidate
  for candidate in python3.11 python3.12 python3; do
    if "$candidate" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  fail "no Python 3.11 or 3.12 with venv was found: install one (Debian: sudo apt-get install python3 python3-venv)"
}

is_cpu_torch() {
  "$VENV/bin/python" -c 'import sys, torch
sys.exit(torch.__version__.split("+")[0] != sys.argv[1] or torch.version.cuda is not None)' "$TORCH" 2>/dev/null
}

install_torch() {
  if is_cpu_torch; then
    step "torch $TORCH for CPU is installed"
    return
  fi
  # Its CPU build has a version of its own, which PyPI lacks: this finds it in the configured indexes and wheel folders, or fails at once.
  if "$VENV/bin/pip" install --quiet --no-deps "torch==$TORCH+cpu" 2>/dev/null; then
    step "torch $TORCH for CPU came from the configured package index"
  else
    step "torch $TORCH for CPU comes from PyTorch's own index"
    "$VENV/bin/uv" pip install --quiet --python "$VENV" --no-deps --torch-backend cpu "torch==$TORCH" ||
      fail "torch $TORCH for CPU could not be downloaded: check the network (download.pytorch.org), then run this again"
  fi
}

if [ ! -x "$VENV/bin/python" ]; then
  python=$(find_python)
  step "creating $VENV with $("$python" --version)"
  "$python" -m venv "$VENV" || fail "$VENV could not be created: see the message above"
fi
step "the installer (uv, pinned)"
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$here/uv.txt" ||
  fail "uv could not be downloaded: check the network and pip's index, then run this again"
step "torch"
install_torch
step "$(grep -c == "$here/dev.txt") locked packages"
"$VENV/bin/uv" pip install --quiet --python "$VENV" --no-deps --require-hashes -r "$here/dev.txt" ||
  fail "the locked packages could not be installed: check the network and the package index, then run this again"
is_cpu_torch || fail "torch is not the CPU build of $TORCH after all: remove $VENV and run this again"
step "theraloop itself"
"$VENV/bin/uv" pip install --quiet --python "$VENV" --no-deps --no-build-isolation --editable "$here/.." ||
  fail "the project could not be installed: see the message above"
step "done"

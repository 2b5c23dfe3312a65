#!/bin/sh
# Make the secrets that docker-compose.yml mounts, each in a file of its own: sh ops/containers/make-secrets.sh [FOLDER]
# What exists is kept. The key for a first partner app is shown once; only its digest is stored.
set -eu
folder=${1:-secrets}
umask 077
mkdir -p "$folder"
cd "$folder"
[ ! -e api-keys.json ] || { echo "secrets are there already: $(pwd)"; exit 0; }

random() { openssl rand -base64 32 | tr '+/' '-_' | tr -d '=\n'; }
digest() { printf %s "$1" | sha256sum | cut -d ' ' -f 1; }

redis=$(random)
partner=tl_$(random)
agent=tl_$(random)
operator=tl_$(random)

printf 'requirepass %s\n' "$redis" > redis.conf
printf 'redis://:%s@redis:6379/0' "$redis" > REDIS_URL
openssl rand -base64 32 | tr -d '\n' > THERALOOP_CACHE_KEY
printf %s "$agent" > THERALOOP_AGENT_JUDGE_API_KEY
random > grafana-admin-password
cat > api-keys.json <<KEYS
{"keys": [
  {"name": "partner", "sha256": "$(digest "$partner")", "scopes": ["evaluate", "refine"]},
  {"name": "agent", "sha256": "$(digest "$agent")", "scopes": ["evaluate"]},
  {"name": "operator", "sha256": "$(digest "$operator")", "scopes": ["evaluate", "refine", "admin"]}
]}
KEYS
# The containers' user reads them; the folder keeps everybody else out.
chmod 444 ./*
echo "partner key (evaluate, refine), shown once:   $partner"
echo "operator key (also admin), shown once:        $operator"

#!/usr/bin/env bash
# Runs the contract, all tests of the RabbitMQ broker and strangers' messages against older versions of RabbitMQ, and
# before that the contract of the queue on disk on versions of Node that bring SQLite along, which npm fetches.
#
#   scripts/test-versions.sh [VITEST-ARGUMENT...]
#
# RABBITMQ_IMAGES names the images, separated by blanks; unset, they are built out of Debian's packages: 4.0 (trixie)
# and 3.10 (bookworm). NODE_VERSIONS names the versions of Node; unset, they are 22.13, the first with SQLite, and 24.
# Goes on after a failure, and exits with 1 then.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

status=0
workdir=$(mktemp -d -t millrace-versions.XXXXXX)
# Also what ran when a time limit ended the script.
trap 'cat "$workdir"/node-*.txt 2>/dev/null; rm -rf "$workdir"' EXIT

readonly arguments=("$@")

# In CI, what failed is run again, as for `npm test`: see .ci/rerun-failed.mjs.
run() { # NAME FILES VITEST-COMMAND...
  local report=$workdir/$1.json files=$2
  local reporters=(--reporter=default --reporter=json --outputFile.json="$report")
  shift 2
  # shellcheck disable=SC2086
  "$@" $files "${reporters[@]}" "${arguments[@]}" </dev/null && return
  [[ -n ${CI:-} && -f $report ]] && node .ci/rerun-failed.mjs "$report" "$@" </dev/null
}

# Both at once: each runs a single file, which waits most of its time. The images are built meanwhile.
nodes=()
for version in ${NODE_VERSIONS-22.13 24}; do
  run "node-$version" test/contract/disk.test.ts \
    npx --yes -p "node@$version" -- node node_modules/vitest/vitest.mjs run --project processes \
    >"$workdir/node-$version.txt" 2>&1 &
  nodes+=("$!:$version")
done

images=${RABBITMQ_IMAGES:-}
if [[ -z $images ]]; then
  for suite in trixie bookworm; do
    image=$(bash scripts/ensure-docker.sh >&2 && bash scripts/build-rabbitmq-image.sh "$suite") || status=1
    images+=" $image"
  done
fi

for each in "${nodes[@]}"; do
  wait "${each%%:*}" || status=1
  printf '\n== Node %s, the queue on disk\n' "${each#*:}"
  cat "$workdir/node-${each#*:}.txt"
  rm "$workdir/node-${each#*:}.txt"
done

printf '\n== Several versions of Node on one folder\n'
LEDGER_NODES=${NODE_VERSIONS-22.13 24} run nodes test/local-queue/disk/several-processes/nodes.test.ts \
  npx --no -- vitest run --project processes || status=1

for image in $images; do
  printf '\n== %s\n' "$image"
  RABBITMQ_IMAGE=$image run "${image//[^a-z0-9]/-}" 'test/contract test/rabbitmq test/strangers' \
    npx --no -- vitest run --project broker || status=1
done
exit "$status"

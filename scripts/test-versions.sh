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
report=$(mktemp -t millrace-versions.XXXXXX.json)
trap 'rm -f "$report"' EXIT

readonly arguments=("$@")

# In CI, what failed is run again, as for `npm test`: see .ci/rerun-failed.mjs.
run() { # FILES VITEST-COMMAND...
  local files=$1 reporters=(--reporter=default --reporter=json --outputFile.json="$report")
  shift
  rm -f "$report"
  # shellcheck disable=SC2086
  "$@" $files "${reporters[@]}" "${arguments[@]}" </dev/null && return
  [[ -n ${CI:-} && -f $report ]] && node .ci/rerun-failed.mjs "$report" "$@" </dev/null && return
  status=1
}

for version in ${NODE_VERSIONS-22.13 24}; do
  printf '\n== Node %s, the queue on disk\n' "$version"
  run test/contract/disk.test.ts npx --yes -p "node@$version" -- node node_modules/vitest/vitest.mjs run --project processes
done

printf '\n== Several versions of Node on one folder\n'
LEDGER_NODES=${NODE_VERSIONS-22.13 24} run test/local-queue/disk/nodes.test.ts npx --no -- vitest run --project processes

images=${RABBITMQ_IMAGES:-}
if [[ -z $images ]]; then
  bash scripts/ensure-docker.sh || exit 1
  for suite in trixie bookworm; do
    image=$(bash scripts/build-rabbitmq-image.sh "$suite") || exit 1
    images+=" $image"
  done
fi

for image in $images; do
  printf '\n== %s\n' "$image"
  RABBITMQ_IMAGE=$image run 'test/contract test/rabbitmq test/strangers' npx --no -- vitest run --project broker
done
exit "$status"

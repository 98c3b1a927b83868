#!/usr/bin/env bash
# Runs the contract, all tests of the RabbitMQ broker and strangers' messages against older versions of RabbitMQ.
#
#   scripts/test-versions.sh [VITEST-ARGUMENT...]
#
# RABBITMQ_IMAGES names the images, separated by blanks; unset, they are built out of Debian's packages: 4.0 (trixie)
# and 3.10 (bookworm). Goes on after a failure, and exits with 1 then.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

images=${RABBITMQ_IMAGES:-}
if [[ -z $images ]]; then
  bash scripts/ensure-docker.sh || exit 1
  for suite in trixie bookworm; do
    image=$(bash scripts/build-rabbitmq-image.sh "$suite") || exit 1
    images+=" $image"
  done
fi

status=0
for image in $images; do
  printf '\n== %s\n' "$image"
  RABBITMQ_IMAGE=$image npx --no -- vitest run --project broker test/contract test/rabbitmq test/strangers "$@" </dev/null || status=1
done
exit "$status"

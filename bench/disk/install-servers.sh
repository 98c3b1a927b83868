#!/usr/bin/env bash
# Installs the servers of the peers from Debian's packages: as root on Debian alone. Elsewhere it does nothing, and
# what is not there is not measured. None of them is left running: the run starts its own.
set -euo pipefail

missing=()
command -v redis-server >/dev/null || missing+=(redis-server)
[[ -x /usr/sbin/nats-server ]] || command -v nats-server >/dev/null || missing+=(nats-server)
compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || missing+=(postgresql)
if ((${#missing[@]} == 0)) || [[ $EUID -ne 0 ]] || ! grep -qsE '^ID(_LIKE)?=.*debian' /etc/os-release; then exit 0; fi

printf 'Installing %s.\n' "${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
# Debian starts what it installs, unless a policy forbids it.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
fi
log=$(mktemp -t millrace-apt.XXXXXX)
apt=(apt-get -qq -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0)
"${apt[@]}" update </dev/null >"$log" 2>&1 || true
if ! "${apt[@]}" install --yes --no-install-recommends "${missing[@]}" </dev/null >>"$log" 2>&1; then
  tail -n 5 "$log" >&2
  printf 'Could not install them: they are not measured.\n' >&2
fi
rm -f "$log"

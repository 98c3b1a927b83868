#!/usr/bin/env bash
# Makes sure that a Docker engine answers.
#
# Where one does, this returns at once. On a Debian machine without one, as root, it installs Debian's engine
# and starts it. Anywhere else it says what to do and fails.
set -euo pipefail

readonly START_LIMIT_S=60
readonly HINT='install Docker (or start it), or set TEST_AMQP_URL to a RabbitMQ that the tests may use'

say() { printf 'ensure-docker: %s (%ss)\n' "$*" "$SECONDS" >&2; }
fail() {
  printf 'ensure-docker: %s: %s\n' "$1" "$HINT" >&2
  exit 1
}

engine_answers() { timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

if engine_answers; then exit 0; fi

if [[ -n ${DOCKER_HOST:-} ]]; then fail "no Docker engine answers at DOCKER_HOST=$DOCKER_HOST"; fi
if [[ $(uname -s) != Linux ]] || ! grep -qsE '^ID(_LIKE)?=.*debian' /etc/os-release; then
  fail 'no Docker engine answers, and this is not a Debian machine where it could be installed'
fi
if [[ $EUID -ne 0 ]]; then fail 'no Docker engine answers, and only root can install or start it'; fi

# Two test runs that start at the same time must not both install and start it.
exec 9>/run/lock/millrace-ensure-docker
flock --timeout 600 9 || fail 'another run has been installing Docker for ten minutes'
if engine_answers; then exit 0; fi

export DEBIAN_FRONTEND=noninteractive
if ! command -v dockerd >/dev/null || ! command -v docker >/dev/null || ! command -v iptables >/dev/null; then
  say 'no Docker engine here, installing the one of Debian'
  # dpkg's lock may be held for a moment by another apt-get on the machine.
  apt=(apt-get -qq -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0)
  packages=(docker.io iptables ca-certificates)
  # From Debian 13 on the client is a package of its own.
  log=$(mktemp -t millrace-apt.XXXXXX)
  {
    "${apt[@]}" update </dev/null || true # one source of many may be down; the install tells whether it matters
    if apt-cache show docker-cli 2>/dev/null | grep -q '^Package: docker-cli$'; then packages+=(docker-cli); fi
    "${apt[@]}" install --yes --no-install-recommends "${packages[@]}" </dev/null 9>&-
  } >"$log" 2>&1 || {
    tail -n 15 "$log" >&2
    fail 'apt-get could not install docker.io'
  }
  rm -f "$log"
  say 'installed'
fi

# A daemon that was killed leaves its pid files and sockets behind. A new one refuses to start, or waits for a
# containerd that is gone, or takes a stranger's process for its own, when it finds them.
drop_stale_pid() { # FILE NAME
  local pid
  [[ -f $1 ]] || return 0
  pid=$(<"$1")
  if [[ $(cat "/proc/$pid/comm" 2>/dev/null) != "$2" ]]; then rm -f "$1"; fi
}
drop_stale_socket() { # FILE
  if [[ -S $1 ]] && ! grep -q " $1\$" /proc/net/unix; then rm -f "$1"; fi
}
drop_stale_pid /run/docker.pid dockerd
drop_stale_pid /run/docker/containerd/containerd.pid containerd
drop_stale_socket /run/containerd/containerd.sock

daemon_log=/var/log/millrace-dockerd.log
pid=
if ! engine_answers && [[ ! -f /run/docker.pid ]]; then
  if [[ -d /run/systemd/system ]]; then
    say 'starting the Docker service'
    systemctl start docker || fail 'the Docker service does not start (journalctl -u docker says why)'
  else
    say "starting dockerd, its log is $daemon_log"
    # --ip: what the tests' containers publish is reached from this machine alone.
    setsid --fork dockerd --ip 127.0.0.1 --pidfile /run/docker.pid >"$daemon_log" 2>&1 </dev/null 9>&-
  fi
fi

deadline=$((SECONDS + START_LIMIT_S))
until engine_answers; do
  if ((SECONDS >= deadline)); then
    tail -n 5 "$daemon_log" >&2 2>/dev/null || true
    fail "dockerd did not answer within $START_LIMIT_S s"
  fi
  sleep 0.2
done
say 'the Docker engine answers'

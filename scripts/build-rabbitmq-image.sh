#!/usr/bin/env bash
# Builds a RabbitMQ image out of Debian's own package, for machines that cannot pull the official one.
#
#   scripts/build-rabbitmq-image.sh [SUITE]     SUITE: forky (4.3), trixie (4.0) or bookworm (3.10)
#
# Without SUITE it takes forky, or trixie where forky cannot be had. The last line, alone on standard output,
# is the name of the image. One that exists already is taken as it is.
set -euo pipefail

# Raise it with every change to what goes into the image: an image of an older recipe is built anew.
readonly RECIPE=2
readonly DEBOOTSTRAP_SCRIPTS=/usr/share/debootstrap/scripts
readonly KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

say() { printf 'build-rabbitmq-image: %s (%ss)\n' "$*" "$SECONDS" >&2; }
fail() {
  printf 'build-rabbitmq-image: %s\n' "$*" >&2
  exit 1
}

image_of() { printf 'millrace/rabbitmq:%s\n' "$1"; }
is_built() {
  [[ $(docker image inspect --format '{{index .Config.Labels "millrace.recipe"}}' "$(image_of "$1")" 2>/dev/null) == "$RECIPE" ]]
}

# All apt sources of this machine, in either of their two formats, as lines of: URI|suites|components
apt_sources() {
  local file
  for file in /etc/apt/sources.list.d/*.sources; do
    [[ -f $file ]] || continue
    # Paragraphs of fields; a line that begins with a blank goes on with the field before it.
    awk '
      function end_of_paragraph(   i, n, uri) {
        if (tolower(value["enabled"]) !~ /no/ && value["types"] ~ /(^| )deb( |$)/) {
          n = split(value["uris"], uri, " ")
          for (i = 1; i <= n; i++) print uri[i] "|" value["suites"] "|" value["components"]
        }
        delete value
        field = ""
      }
      /^#/ { next }
      /^[ \t]*$/ { end_of_paragraph(); next }
      /^[^ \t]/ { field = tolower($0); sub(/[ \t]*:.*/, "", field); sub(/^[^:]*:/, "") }
      { value[field] = value[field] " " $0 }
      END { end_of_paragraph() }
    ' "$file"
  done
  # deb [option=value ...] URI suite component...
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [[ -f $file ]] || continue
    sed -nE 's/^[ \t]*deb[ \t]+(\[[^]]*\][ \t]+)?([^ \t]+)[ \t]+([^ \t]+)[ \t]+([^#]*).*/\2|\3|\4/p' "$file"
  done
}

# Where this machine has its own Debian from: not a security archive, which holds no whole suite, and nobody else's.
mirror_of_this_machine() {
  local codename
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-sid}")
  apt_sources | awk -F '|' -v suites="^($codename|stable|testing|unstable|sid)\$" '
    found || $1 !~ /^(https?|file):/ || (" " $3 " ") !~ / main / { next }
    { n = split($2, suite, " "); for (i = 1; i <= n; i++) if (suite[i] ~ suites) found = $1 }
    END { print found; exit found == "" }
  '
}

install_debootstrap() {
  command -v debootstrap >/dev/null && return 0
  local log
  log=$(mktemp -t millrace-apt.XXXXXX)
  say 'installing debootstrap'
  export DEBIAN_FRONTEND=noninteractive
  local apt=(apt-get -qq -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0)
  "${apt[@]}" update </dev/null >"$log" 2>&1 || true # one source of many may be down
  if ! "${apt[@]}" install --yes --no-install-recommends debootstrap </dev/null >>"$log" 2>&1; then
    tail -n 15 "$log" >&2
    fail 'apt-get could not install debootstrap'
  fi
  rm -f "$log"
}

workdir=
clean_up() {
  [[ -n $workdir ]] || return 0
  # A bootstrap that is cut short leaves its /proc mounted; deleting through a mount would reach the machine.
  local mount
  while read -r mount; do umount --lazy "$mount" || true; done < <(awk -v d="$workdir/" 'index($2, d) == 1 { print $2 }' /proc/mounts | sort -r)
  rm -rf --one-file-system "$workdir"
  workdir=
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Passes debootstrap's messages on, one in ten seconds: enough to see that it moves.
report_progress() {
  local line last=$SECONDS
  while IFS= read -r line; do
    if ((SECONDS - last >= 10)); then
      say "${line#I: }"
      last=$SECONDS
    fi
  done
}

build() { # SUITE
  local suite=$1 script=$DEBOOTSTRAP_SCRIPTS/$1 root version outdated
  [[ -e $script ]] || script=$DEBOOTSTRAP_SCRIPTS/sid # a suite younger than this machine's debootstrap
  workdir=$(mktemp -d -t millrace-rabbitmq.XXXXXX)
  root=$workdir/root
  say "fetching and unpacking rabbitmq-server of Debian $suite, one to two minutes"
  if ! debootstrap --variant=minbase --keyring="$KEYRING" --include=rabbitmq-server "$suite" "$root" "$mirror" "$script" \
    </dev/null 2>&1 | tee "$workdir/log" | report_progress; then
    tail -n 5 "$workdir/log" "$root/debootstrap/debootstrap.log" >&2 2>/dev/null || true
    clean_up
    return 1
  fi
  version=$(dpkg-query --admindir="$root/var/lib/dpkg" --show --showformat='${Version}' rabbitmq-server)

  mkdir -p "$root/etc/rabbitmq/conf.d"
  {
    echo '# As in the official image: guest comes in through a published port, which is not loopback in here.'
    echo 'loopback_users.guest = false'
    if dpkg --compare-versions "$version" ge 4.3; then
      echo '# Debian permits these, upstream has refused them since 4.3. The tests are to see what most users see.'
      echo 'deprecated_features.permit.transient_nonexcl_queues = false'
    fi
  } >"$root/etc/rabbitmq/conf.d/10-millrace.conf"
  echo '[rabbitmq_management,rabbitmq_prometheus].' >"$root/etc/rabbitmq/enabled_plugins"

  rm -rf "$root"/var/lib/rabbitmq/{.erlang.cookie,mnesia/*} "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,info,locale}/* "$root"/var/log/*.log
  say "importing RabbitMQ $version as an image"
  outdated=$(docker images --quiet "$(image_of "$suite")")
  # Not Debian's wrapper in /usr/sbin: that one does not pass the signal on which the broker is to shut down.
  tar -C "$root" --numeric-owner -c . | docker import \
    --change 'CMD ["setpriv","--reuid=rabbitmq","--regid=rabbitmq","--init-groups","/usr/lib/rabbitmq/bin/rabbitmq-server"]' \
    --change 'ENV RABBITMQ_LOGS=- LANG=C.UTF-8 HOME=/var/lib/rabbitmq' \
    --change 'EXPOSE 5672 15672 15692' \
    --change "LABEL millrace.recipe=$RECIPE millrace.rabbitmq=$version" \
    - "$(image_of "$suite")" >/dev/null
  if [[ -n $outdated ]]; then docker rmi "$outdated" >/dev/null 2>&1 || true; fi # unless a container runs it
  clean_up
  say "built $(image_of "$suite") with RabbitMQ $version"
}

suites=("$@")
if ((${#suites[@]} == 0)); then suites=(forky trixie); fi
for suite in "${suites[@]}"; do
  [[ $suite =~ ^(forky|trixie|bookworm)$ ]] || fail "'$suite' is none of forky, trixie and bookworm"
done

docker version >/dev/null 2>&1 || fail 'no Docker engine answers: scripts/ensure-docker.sh starts one'
for suite in "${suites[@]}"; do
  if is_built "$suite"; then
    image_of "$suite"
    exit 0
  fi
done

if [[ $EUID -ne 0 ]] || ! grep -qs '^ID=debian' /etc/os-release; then
  fail 'only root on a Debian machine can build the image: set RABBITMQ_IMAGE to one that is here, or TEST_AMQP_URL'
fi
exec 9>/run/lock/millrace-build-rabbitmq-image
flock --timeout 900 9 || fail 'another run has been building the image for a quarter of an hour'
install_debootstrap
mirror=$(mirror_of_this_machine) || fail 'found no Debian mirror in the apt sources of this machine'
for suite in "${suites[@]}"; do
  if is_built "$suite" || build "$suite"; then
    image_of "$suite"
    exit 0
  fi
  say "could not build it from Debian $suite"
done
fail "built no image: set RABBITMQ_IMAGE to one that is here, or TEST_AMQP_URL to a running broker"

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Unpack Debian's libcuda into .tools/libcuda, for the tests of a driver without a device. Needs apt-get, no rights.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=$PWD/.tools/libcuda
[ -e "$folder/libcuda.so.1" ] && exit 0

state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
mkdir -p "$state"/{lists,cache/archives}/partial
# The mirror that this machine uses already, with the part of it that holds drivers.
mirror=$(grep -rhoE '^[^#]*https?://[^ ]+/debian/?' /etc/apt/sources.list* | grep -m1 -oE 'https?://.*') || true
if [ -z "$mirror" ]; then
  echo "libcuda.sh: /etc/apt/sources.list* name no http mirror that ends in /debian" >&2
  exit 1
fi
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $release non-free" >"$state/sources.list"
apt=(apt-get -o "Dir::Etc::sourcelist=$state/sources.list" -o Dir::Etc::sourceparts=/dev/null
  -o "Dir::State::lists=$state/lists" -o "Dir::Cache=$state/cache" -o APT::Sandbox::User= -qq)
"${apt[@]}" update
(cd "$state" && "${apt[@]}" download libcuda1 && dpkg -x libcuda1_*.deb unpacked)
mkdir -p "$folder"
cp -a "$state"/unpacked/usr/lib/*/nvidia/current/libcuda.so* "$folder"

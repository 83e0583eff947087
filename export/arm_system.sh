#!/usr/bin/env bash
# arm_system.sh FOLDER PYTHON: unpacks Python 3.11 of Debian 12, NumPy and tflite-runtime for 64-bit ARM into a new
# folder, for export.check_arm. Needs apt with Debian 12 as its source, unzip and network, and no root: nothing is
# installed on this machine.
set -euo pipefail
for tool in qemu-aarch64:qemu-user apt-get:apt dpkg:dpkg unzip:unzip; do
  command -v "${tool%:*}" >/dev/null || { echo "error: ${tool%:*} is missing; run, as root: apt-get install ${tool#*:}" >&2; exit 1; }
done
requirements=$(dirname "$0")/../requirements.txt
python=$2
mkdir -p "$(dirname "$1")"
# Beside the folder, which stays what it is until all is there.
fresh=$(mktemp -d "$1.XXXXXX")
trap 'rm -rf "$fresh"' EXIT
parts=$(cd "$fresh" && pwd)/parts
packages=$fresh/usr/lib/python3/dist-packages
mkdir -p "$parts"/lists/partial "$parts"/archives/partial "$packages"
: >"$parts/status"
cat >"$parts/apt.conf" <<END
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Sandbox::User "";
Dir::State "$parts";
Dir::State::status "$parts/status";
Dir::Cache "$parts";
END
export APT_CONFIG=$parts/apt.conf
apt-get update -qq
apt-get install -qq --yes --download-only --no-install-recommends \
  python3.11-minimal libpython3.11-stdlib libstdc++6
for package in "$parts"/archives/*.deb; do dpkg -x "$package" "$fresh"; done
tags=(--platform=manylinux2014_aarch64)
# pip takes no tag to stand for older ones.
for version in {17..36}; do tags+=("--platform=manylinux_2_${version}_aarch64"); done
"$python" -m pip download --quiet --no-deps --only-binary=:all: "${tags[@]}" --python-version=3.11 --dest="$parts" \
  $(grep -oE '^(numpy|tflite-runtime)==[0-9.]+' "$requirements")
for wheel in "$parts"/*.whl; do unzip -q -o "$wheel" -d "$packages"; done
rm -r "$parts"
chmod 755 "$fresh"
rm -rf "$1"
mv "$fresh" "$1"

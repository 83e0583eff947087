#!/usr/bin/env bash
# arm_system.sh FOLDER PYTHON: unpacks Python 3.11 of Debian 12, NumPy and tflite-runtime for 64-bit ARM into a folder,
# for export.check_arm. Needs apt with Debian 12 as its source, and no root: nothing is installed on this machine.
set -euo pipefail
command -v qemu-aarch64 >/dev/null || { echo "error: qemu-aarch64 is missing; run: apt-get install qemu-user" >&2; exit 1; }
python=$2
mkdir -p "$1"
folder=$(cd "$1" && pwd)
parts=$folder/parts
mkdir -p "$parts"/lists/partial "$parts"/archives/partial
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
for package in "$parts"/archives/*.deb; do dpkg -x "$package" "$folder"; done
"$python" -m pip download --quiet --no-deps --only-binary=:all: --platform=manylinux_2_34_aarch64 \
  --platform=manylinux_2_17_aarch64 --python-version=3.11 --dest="$parts" $(grep -oE '^(numpy|tflite-runtime)==[0-9.]+' requirements.txt)
packages=$folder/usr/lib/python3/dist-packages
mkdir -p "$packages"
for wheel in "$parts"/*.whl; do unzip -q -o "$wheel" -d "$packages"; done
rm -r "$parts"

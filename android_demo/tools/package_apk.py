"""base.apk of aapt2 + classes.dex + jni/*.so -> an unsigned, aligned APK, the same bytes every time.

Stored entries start on a 4-byte boundary, libraries on one of 16 KiB. The padding lies in the extra field 0xd935,
which apksigner keeps and `zipalign -c` accepts.
"""

import pathlib
import struct
import sys
import zipfile

STORED = ("resources.arsc", ".tflite", ".sqlite", ".png", ".so")
ABIS = ("arm64-v8a", "armeabi-v7a", "x86_64")
FIXED_TIME = (1981, 1, 1, 1, 1, 2)
LOCAL_HEADER_BYTES = 30


def package(base, dex, jni, output):
    """Writes `output` from the archive `base`, the file `dex` and the folder `jni` of a folder for each ABI."""
    with zipfile.ZipFile(base) as archive:
        entries = [(name, archive.read(name)) for name in archive.namelist()]
    entries.append(("classes.dex", pathlib.Path(dex).read_bytes()))
    for abi in ABIS:
        entries += [(f"lib/{abi}/{so.name}", so.read_bytes()) for so in sorted(pathlib.Path(jni, abi).glob("*.so"))]
    with zipfile.ZipFile(output, "w") as apk:
        for name, data in entries:
            _add(apk, name, data)


def _add(apk, name, data):
    entry = zipfile.ZipInfo(name, FIXED_TIME)
    entry.external_attr = 0o644 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    if name.endswith(STORED):
        entry.compress_type = zipfile.ZIP_STORED
        alignment = 16384 if name.endswith(".so") else 4
        extra = struct.Struct("<HHH")
        padding = -(apk.fp.tell() + LOCAL_HEADER_BYTES + len(name.encode()) + extra.size) % alignment
        entry.extra = extra.pack(0xD935, 2 + padding, alignment) + bytes(padding)
    apk.writestr(entry, data)


if __name__ == "__main__":
    package(*sys.argv[1:])

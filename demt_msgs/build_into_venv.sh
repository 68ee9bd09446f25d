#!/usr/bin/env bash
# Builds demt_msgs with the real rosidl generators into a virtual environment that has the ROS 2
# wheels of requirements/msgs.txt. Needs no root and no ROS installation, only a C++ compiler.
#
#   demt_msgs/build_into_venv.sh [VENV]      (default: the active one)
#
# Does nothing where the environment already holds a build of the same sources.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=${1:-${VIRTUAL_ENV:-}}
if [ -z "$venv" ] || [ ! -x "$venv/bin/python" ]; then
  echo "build_into_venv.sh: no virtual environment at '${venv}': activate one, or name its folder" >&2
  exit 2
fi
venv=$(cd "$venv" && pwd)
python=$venv/bin/python
export PATH=$venv/bin:$PATH

# The stamp covers what the result depends on: our sources, the interpreter, the generators.
stamp=$venv/share/demt_msgs/.built_from
state=$({
  cd "$here"
  find . -type f \( -name '*.msg' -o -name '*.srv' -o -name '*.cmake' -o -name '*.sh' \
    -o -name CMakeLists.txt -o -name package.xml \) -print0 | sort -z | xargs -0 sha256sum
  "$python" -c 'import sys; print(sys.version, sys.prefix)'
  ls -d "$venv"/lib/python3*/site-packages/ros_rosidl_*.dist-info 2>/dev/null || true
} | sha256sum)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$state" ]; then
  echo 'demt_msgs: up to date'
  exit 0
fi

for tool in cmake c++; do
  if ! command -v "$tool" >/dev/null; then
    echo "build_into_venv.sh: '$tool' is not there: apt-get install cmake g++" >&2
    exit 2
  fi
done
headers=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
if [ ! -f "$headers/Python.h" ]; then
  echo "build_into_venv.sh: $headers/Python.h is not there: apt-get install python3-dev" >&2
  exit 2
fi

build=$venv/build/demt_msgs
rm -rf "$build"
mkdir -p "$build"
generator=()
if command -v ninja >/dev/null; then generator=(-G Ninja); fi
export AMENT_PREFIX_PATH=$venv CMAKE_PREFIX_PATH=$venv
if ! {
  cmake -S "$here" -B "$build" "${generator[@]}" \
    -DCMAKE_INSTALL_PREFIX="$venv" -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF \
    -DPython3_EXECUTABLE="$python" -DPython3_FIND_VIRTUALENV=ONLY \
    -DCMAKE_PROJECT_demt_msgs_INCLUDE="$here/cmake/drop_missing_includes.cmake" &&
  cmake --build "$build" --parallel "$(nproc)" &&
  rm -rf "$venv"/{include,share}/demt_msgs "$venv"/lib/libdemt_msgs__* \
    "$venv"/lib/python3*/site-packages/demt_msgs{,-*} &&
  cmake --install "$build"
} >"$build/log.txt" 2>&1; then
  echo "build_into_venv.sh: failed; the whole log is $build/log.txt, its end:" >&2
  tail -n 25 "$build/log.txt" >&2
  exit 1
fi

"$python" -c 'from demt_msgs.msg import DensePrediction, InferenceStats, LabelTable
from demt_msgs.srv import LoadModel, SetTasks
from rclpy.serialization import deserialize_message, serialize_message
for kind in (DensePrediction, InferenceStats, LabelTable):
    assert deserialize_message(serialize_message(kind()), kind) == kind()'
printf '%s\n' "$state" >"$stamp"
echo "demt_msgs: built into $venv"

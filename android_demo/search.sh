#!/usr/bin/env bash
# The app's search on a desktop: --model= --gallery= --query= [--top_k=]; compiled by Maven when sources have changed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
command -v java >/dev/null && command -v mvn >/dev/null || { echo "error: Java or Maven is missing; install them with: make android-deps" >&2; exit 1; }
built=$here/desktop/target/search.built
if [ ! -f "$built" ] || [ -n "$(find "$here"/pom.xml "$here"/{core,desktop}/{pom.xml,src/main} -newer "$built" -print -quit)" ]; then
  # Too short for the JVM's second compiler and parallel garbage collection to pay.
  export MAVEN_OPTS="${MAVEN_OPTS:--XX:TieredStopAtLevel=1 -XX:+UseSerialGC}"
  mvn -B -q -ntp -f "$here/pom.xml" -pl core,desktop package -DskipTests dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory=target/lib >&2
  touch "$built"
fi
exec java -cp "$here/desktop/target/classes:$here/desktop/target/lib/*" io.github.kerascdd.desktop.Search "$@"

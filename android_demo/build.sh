#!/usr/bin/env bash
# Sources and assets -> tests -> build/keras-cdd-demo.apk, signed and checked, without an Android SDK.
# Needs Java 17, Maven, python3 and the packages of `make android-deps`. SKIP_TESTS=1 skips the tests,
# TESTS_ONLY=1 stops after them.
set -euo pipefail
cd "$(dirname "$0")"
apk=build/keras-cdd-demo.apk
aar=ci/tflite-aar/target
libraries=build/dex-tools
# None of these JVMs lives long enough for the second compiler and parallel garbage collection to pay.
short_lived=(-XX:TieredStopAtLevel=1 -XX:+UseSerialGC)
export MAVEN_OPTS="${MAVEN_OPTS:-${short_lived[*]}}"

step() { printf '== %s\n' "$*"; }

need() {
  for tool in java mvn keytool python3 unzip aapt aapt2 apksigner zipalign dexdump; do
    command -v "$tool" >/dev/null || { echo "error: $tool is missing; install it with: make android-deps" >&2; exit 1; }
  done
  [ -f app/src/main/assets/manifest.json ] || { echo "error: there are no assets; make them with: make android" >&2; exit 1; }
}

compile_and_test() {
  step "Compile, check against Android API 24${SKIP_TESTS:+ (tests left out)}"
  # Show Surefire's summary of the tests and, of everything else, errors and warnings only.
  mvn -B -ntp -Dstyle.color=never ${SKIP_TESTS:+-DskipTests} verify | grep -E '^\[(ERROR|WARNING)\]|Tests run:|photos:|top 5' || [ "${PIPESTATUS[0]}" = 0 ]
}

dex() {
  step "Dex: ProGuard turns lambdas into classes, dx translates them"
  mvn -B -q -ntp -Dstyle.color=never -f ci/dex/pom.xml dependency:copy-dependencies -DoutputDirectory="$PWD/$libraries" -Dmdep.useBaseVersion=true
  local android
  android=$(echo "$libraries"/android-all-*.jar)
  {
    for jar in app/target/app-1.0.jar core/target/core-1.0.jar $aar/tensorflow-lite/classes.jar $aar/tensorflow-lite-api/classes.jar; do
      echo "-injars $PWD/$jar(!META-INF/**)"
    done
    echo "-outjars $PWD/build/backported.jar"
    echo "-libraryjars $PWD/$android"
    echo "-libraryjars <java.home>/jmods/java.base.jmod(!**.jar;!module-info.class)"
    echo "-target 7 -dontshrink -dontoptimize -dontobfuscate -dontnote ** -dontwarn ** -keepattributes *"
  } >build/backport.pro
  rm -f build/backported.jar build/classes.dex
  java "${short_lived[@]}" -cp "$libraries/*" proguard.ProGuard @build/backport.pro >build/proguard.log 2>&1 || { cat build/proguard.log; exit 1; }
  java "${short_lived[@]}" -cp "$libraries/*" com.android.dx.command.Main --dex --min-sdk-version=24 --output=build/classes.dex build/backported.jar
  # A dex with invoke-custom can be installed but crashes on a phone: Android has no LambdaMetafactory.
  dexdump -d build/classes.dex >build/classes.txt
  if grep -q -E 'invoke-(custom|polymorphic)' build/classes.txt; then
    echo "error: the dex calls what Android lacks (invoke-custom)" >&2
    exit 1
  fi
  rm build/classes.txt
}

sign() {
  step "Package and sign"
  python3 tools/package_apk.py app/target/base.apk build/classes.dex $aar/tensorflow-lite/jni build/unsigned.apk
  [ -f build/debug.keystore ] || keytool -genkeypair -keystore build/debug.keystore -storepass android -keypass android \
    -alias androiddebugkey -dname "CN=Android Debug,O=Android,C=US" -keyalg RSA -keysize 2048 -validity 10000 2>/dev/null
  apksigner sign --ks build/debug.keystore --ks-pass pass:android --ks-key-alias androiddebugkey --min-sdk-version 24 \
    --v1-signing-enabled false --v4-signing-enabled false --out $apk.new build/unsigned.apk
  rm build/unsigned.apk
}

check() {
  step "Check"
  zipalign -c -p 4 $apk.new
  [ "$(zipalign -c -v 16384 $apk.new | grep -c '\.so (OK')" = 3 ] || { echo "error: libraries are not aligned" >&2; exit 1; }
  if unzip -lv $apk.new | grep -E '(resources.arsc|\.tflite|\.sqlite|\.so)$' | grep -v ' Stored '; then
    echo "error: these are compressed, but must be stored" >&2
    exit 1
  fi
  apksigner verify --verbose $apk.new | grep -E '^Verif'
  aapt dump badging $apk.new | grep -E '^(package|sdkVersion|targetSdk|uses-permission|application-label:|launchable|native-code)'
  mv $apk.new $apk
  echo "$(du -h $apk | cut -f1) android_demo/$apk"
}

need
mkdir -p build
compile_and_test
[ -z "${TESTS_ONLY:-}" ] || exit 0
dex
sign
check

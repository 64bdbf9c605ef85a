#!/usr/bin/env bash
# Make sure that Spark finds Java 17 or later: as root on Debian or Ubuntu install it, elsewhere say how.
set -euo pipefail

# Spark looks at JAVA_HOME first, so that one is asked here too. 0 stands for "no Java".
major() {
    local java=java version
    [ -z "${JAVA_HOME:-}" ] || java=$JAVA_HOME/bin/java
    version=$("$java" -version 2>&1 | sed -n 's/.* version "\(1\.\)\{0,1\}\([0-9]*\).*/\2/p' | head -n 1) || true
    echo "${version:-0}"
}

found=$(major)
[ "$found" -lt 17 ] || exit 0

if [ "$(id -u)" -eq 0 ] && [ -z "${JAVA_HOME:-}" ] && command -v apt-get >/dev/null; then
    echo "Spark needs Java 17 or later: installing it with apt-get." >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # Debian 13 and later no longer carry 17; Spark 4 runs on 21 as well.
    apt-get install -y -qq --no-install-recommends openjdk-17-jre-headless >/dev/null ||
        apt-get install -y -qq --no-install-recommends openjdk-21-jre-headless >/dev/null
    found=$(major)
    [ "$found" -lt 17 ] || exit 0
fi

if [ "$found" -eq 0 ]; then state="none was found"; else state="Java $found was found"; fi
[ -z "${JAVA_HOME:-}" ] || state="$state under JAVA_HOME=$JAVA_HOME"
echo "Spark needs Java 17 or later, and $state. Install it (Debian, Ubuntu:" \
    "sudo apt-get install openjdk-17-jre-headless; macOS: brew install openjdk@17) and point JAVA_HOME at it" \
    "if another Java stands first." >&2
exit 1

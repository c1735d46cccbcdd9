#!/usr/bin/env bash
# Scans a server of its own on 127.0.0.1, built from this tree, with Debian's testssl.sh, slowhttptest, wapiti and sqlmap.
# Each tool is bounded in time; the exit status says whether one of them found something. docs/security/scans.md has more.
set -uo pipefail
cd "$(dirname "$0")/../.."

need=()
for program in testssl:testssl.sh slowhttptest:slowhttptest wapiti:wapiti sqlmap:sqlmap openssl:openssl curl:curl python3:python3; do
  command -v "${program%%:*}" >/dev/null || need+=("${program##*:}")
done
if [ ${#need[@]} -gt 0 ]; then
  echo "missing: apt-get install ${need[*]}" >&2
  exit 2
fi

work=$(mktemp -d /tmp/fluxbase-scan.XXXXXX)
chmod 755 "$work"
address=127.0.0.1:18443
server=
cleanup() {
  if [ -n "$server" ]; then
    kill "$server" 2>/dev/null
    wait "$server" 2>/dev/null
  fi
  rm -rf "$work"
}
trap cleanup EXIT
failed=0
verdict() { # what, whether it is good, details
  if [ "$2" = 0 ]; then echo "ok      $1: $3"; else echo "FOUND   $1: $3"; failed=1; fi
}

# A certificate as a CA would make it, from a CA that the scanner is told of.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 -subj "/CN=scan CA" \
  -addext basicConstraints=critical,CA:true -keyout "$work/ca-key.pem" -out "$work/ca.pem" 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost -keyout "$work/key.pem" -out "$work/req.pem" 2>/dev/null
openssl x509 -req -in "$work/req.pem" -CA "$work/ca.pem" -CAkey "$work/ca-key.pem" -CAcreateserial -days 200 -out "$work/cert.pem" 2>/dev/null -extfile <(
  printf '%s\n' subjectAltName=DNS:localhost,IP:127.0.0.1 keyUsage=critical,digitalSignature extendedKeyUsage=serverAuth \
    crlDistributionPoints=URI:http://crl.example.com/ca.crl)

go build -o "$work/fluxbase" ./cmd/fluxbase || exit 2
FLUXBASE_SERVER_TLS_ENABLED=true FLUXBASE_SERVER_TLS_CERT_FILE="$work/cert.pem" FLUXBASE_SERVER_TLS_KEY_FILE="$work/key.pem" \
  FLUXBASE_LOGGING_LEVEL=warn "$work/fluxbase" dev --data-dir "$work/data" --listen $address >"$work/server.log" 2>&1 &
server=$!
ask() { curl -s --cacert "$work/ca.pem" --max-time 30 "$@"; }
for _ in $(seq 120); do
  if [ "$(ask -o /dev/null -w '%{http_code}' https://$address/readyz)" = 200 ]; then break; fi
  sleep 1
done
. "$work/data/dev.env" || { cat "$work/server.log" >&2; exit 2; }
token=$(ask https://$address/auth/v1/login -H 'Content-Type: application/json' \
  -d "{\"email\": \"$DEMO_EMAIL\", \"password\": \"$DEMO_PASSWORD\"}" | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
bearer="Authorization: Bearer $token"
notes="https://$address/rest/v1/notes?select=id,body&id=eq.1&limit=3"
[ "$(ask -o /dev/null -w '%{http_code}' "$notes" -H "$bearer")" = 200 ] || { echo "the server does not answer" >&2; exit 2; }

only=${1:-testssl slowhttptest wapiti sqlmap}
for tool in $only; do
  case $tool in
  testssl)
    # Protocols, ciphers, forward secrecy, the server's own settings, its headers and all known vulnerabilities.
    timeout 600 testssl --quiet --color 0 --warnings off --connect-timeout 10 --openssl-timeout 10 --add-ca "$work/ca.pem" \
      -p -s -f -S -h -U --jsonfile "$work/testssl.json" "https://localhost:${address##*:}" >"$work/testssl.log" 2>&1
    status=$?
    # testssl 3.0 asks for secure renegotiation (RFC 5746) in a way that OpenSSL 3 answers for TLS 1.3; so it is asked here.
    echo | openssl s_client -connect $address -tls1_2 2>/dev/null | grep -q 'Secure Renegotiation IS supported'
    renegotiation=$?
    found=$(python3 - "$work/testssl.json" <<'PY'
import json, sys
for finding in json.load(open(sys.argv[1])):
    if finding["severity"] in ("MEDIUM", "HIGH", "CRITICAL") and finding["id"] != "secure_renego":
        print(finding["severity"], finding["id"], finding["finding"].strip())
PY
)
    low=$(grep -c '"severity" *: *"LOW"' "$work/testssl.json")
    [ $status -lt 124 ] && [ -z "$found" ] && [ $renegotiation = 0 ]
    verdict testssl $? "$(grep -c '"severity"' "$work/testssl.json") checks, $low of them LOW, above that ${found:-nothing}"
    ;;
  slowhttptest)
    for kind in "-H -i 10 -x 24" "-B -i 10 -s 8192 -x 10" "-X -k 3 -w 512 -y 1024 -n 5 -z 32"; do
      # shellcheck disable=SC2086
      timeout 120 slowhttptest -c 500 -r 100 -l 40 -p 3 -g -o "$work/slow" $kind -u "https://$address/healthz" >"$work/slow.log" 2>&1
      down=$(python3 - "$work/slow.csv" <<'PY'
import csv, sys
rows = list(csv.reader(open(sys.argv[1])))
print(sum(1 for row in rows[1:] if len(row) > 4 and int(row[4]) == 0), "of", len(rows) - 1)
PY
)
      [ "${down%% *}" = 0 ]
      verdict "slowhttptest ${kind%% *}" $? "seconds without service: $down"
    done
    ;;
  wapiti)
    # Without the modules that want a server of wapiti's makers to be reached.
    timeout 300 wapiti -u "https://$address/rest/v1/" -s "$notes" -s "https://$address/rest/v1/tasks?select=title&title=like.*1*" \
      -s "https://$address/rest/v1/rpc/open_tasks?p_project_id=1" -s "https://$address/auth/v1/settings" -H "$bearer" --verify-ssl 0 \
      --scope folder -m "sql,xss,exec,file,crlf,redirect,backup,htaccess,methods,cookieflags,http_headers,csp" --max-scan-time 240 \
      --flush-session --store-session "$work" -f json -o "$work/wapiti.json" >"$work/wapiti.log" 2>&1
    found=$(python3 - "$work/wapiti.json" <<'PY'
import json, sys
report = json.load(open(sys.argv[1]))
for kind in ("vulnerabilities", "anomalies"):
    for name, list_ in report[kind].items():
        for entry in list_:
            if entry["info"] == "X-XSS-Protection is not set":
                continue  # it is, to 0: docs/security/headers.md says why
            print(f"{name}: {entry['method']} {entry['path']} {entry['parameter']}: {entry['info']}")
PY
)
    [ -s "$work/wapiti.json" ] && [ -z "$found" ]
    verdict wapiti $? "${found:-nothing}"
    ;;
  sqlmap)
    run_sqlmap() {
      timeout 300 sqlmap --batch --flush-session --output-dir "$work/sqlmap" --risk 1 --dbms PostgreSQL --timeout 10 \
        --disable-coloring -H "$bearer" "$@" >"$work/sqlmap.log" 2>&1
      # That it did not come to its end is no good result either.
      grep -q 'do not appear to be injectable' "$work/sqlmap.log" && ! grep -q 'is vulnerable\|identified the following injection' "$work/sqlmap.log"
    }
    run_sqlmap --level 2 --technique BEUS -u "https://$address/rest/v1/notes?select=id*&id=eq.1*&order=id*&limit=3*"
    verdict "sqlmap, data" $? "$(grep -c 'testing ' "$work/sqlmap.log") tests"
    run_sqlmap --level 2 --technique BEUS -u "https://$address/rest/v1/rpc/open_tasks?p_project_id=1*&select=title*"
    verdict "sqlmap, function" $? "$(grep -c 'testing ' "$work/sqlmap.log") tests"
    # A login takes as long as a hash, so fewer of them, and none that measures time.
    run_sqlmap --level 1 --technique BEU -u "https://$address/auth/v1/login" -H 'Content-Type: application/json' --ignore-code 400 \
      --data '{"email":"somebody@example.com*","password":"wrong*"}'
    verdict "sqlmap, login" $? "$(grep -c 'testing ' "$work/sqlmap.log") tests"
    ;;
  esac
done
if [ -n "${SCAN_LOGS:-}" ]; then mkdir -p "$SCAN_LOGS" && cp "$work"/*.log "$work"/*.json "$SCAN_LOGS"/ 2>/dev/null; fi
exit $failed

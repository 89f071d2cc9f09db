#!/bin/sh
# The demo: three stateless hosts on the embedded twin, from a fleet file to configured hosts, and back.
# It works in a temporary folder of its own, so two may run at once and nothing is left behind.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
fleet="$root/.venv/bin/fleet"
work=$(mktemp -d "${TMPDIR:-/tmp}/fleet-demo.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
cp -R "$root/fleets/lab.yaml" "$root/fleets/images" "$root/fleets/seeds" "$work/"
cd "$work"

# The fleet file names the root password only by reference: secret("env:ESX_ROOT_PASSWORD").
ESX_ROOT_PASSWORD="demo-$(date +%s)-Aa1!"
export ESX_ROOT_PASSWORD

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
if [ ! -t 1 ] || [ -n "${NO_COLOR:-}" ]; then say() { printf '\n== %s\n' "$*"; }; fi

# run EXPECTED-EXIT-CODE ARGUMENT…
run() {
  expected=$1
  shift
  printf '$ fleet %s\n' "$*"
  code=0
  "$fleet" "$@" || code=$?
  if [ "$code" != "$expected" ]; then
    echo "demo: 'fleet $*' ended with exit code $code where $expected was expected" >&2
    exit 1
  fi
}

# change FROM TO: edits the one line of lab.yaml that has FROM.
change() {
  [ "$(grep -c -F "$1" lab.yaml)" = 1 ] || { echo "demo: lab.yaml must have exactly one '$1'" >&2; exit 1; }
  sed "s/$1/$2/" lab.yaml >lab.new
  mv lab.new lab.yaml
  printf '$ sed -i "s/%s/%s/" lab.yaml\n' "$1" "$2"
}

say "1. Is the fleet file right? (no vCenter needed)"
run 0 validate lab.yaml
say "2. What would happen? Two new hosts, and esx03: vCenter knows it, and it has lost everything in a reboot"
run 2 plan lab.yaml --detailed-exitcode
say "3. Do it: boot the hosts from the network, wait for their births, clean up, add, configure"
run 0 apply lab.yaml --auto-approve --reason "demo"
say "4. Plan again: nothing may be left to change"
run 0 plan lab.yaml --detailed-exitcode
say "5. Edit one value: the vMotion VLAN"
change "vlan: 20" "vlan: 30"
run 2 plan lab.yaml --detailed-exitcode
run 0 apply lab.yaml --auto-approve --reason "demo: another VLAN"
run 0 plan lab.yaml --detailed-exitcode
say "6. Changed your mind? Roll the newest run back, step by step"
run 0 rollback lab.yaml --auto-approve --reason "demo: back again"
say "7. The hosts are as they were; the file still asks for VLAN 30, and plan says so"
run 2 plan lab.yaml --detailed-exitcode
change "vlan: 30" "vlan: 20"
say "8. With the file as it was, there is nothing to change"
run 0 plan lab.yaml --detailed-exitcode
run 0 state list lab.yaml
run 0 state history lab.yaml
say "The demo is done."

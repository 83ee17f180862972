#!/usr/bin/env bash
# Reproduces published figures: installs the project, downloads the checkpoint, runs it on your copy of the data set, and
# prints the measured figures beside the published ones. With the name of a table, it runs the models that are there.
# Started again, it resumes. Results are written to results/tables in the current folder. docs/howto/benchmarks.md
# describes the tables, and how to send results.
#
#   bash scripts/reproduce.sh r50_aotl --root /data/DAVIS [OPTIONS of aotlab table]      (default: --dataset davis2017)
#   bash scripts/reproduce.sh aot_davis2017 --root /data/DAVIS
set -euo pipefail
folder=$PWD # relative paths in options start here
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/setup.sh
names=$(sed -n 's/^\([^ #]*\):$/\1/p' networks/weights/published.yaml; basename -s .yaml configs/tables/*.yaml)
if [[ " $* " = *" --help "* || " $* " = *" -h "* ]]; then
    sed -n "2,/^set/s/^# \{0,1\}//p" scripts/reproduce.sh
    printf '\nnames:\n%s\n' "$names"
    exit
fi
fail() {
    echo "error: $1" >&2
    exit 2
}
check() { # check OPTION VALUE
    local datasets
    datasets=$(sed -n 's/.*dataset: \([a-z0-9]*\).*/\1/p' configs/tables/*.yaml | sort -u)
    case $1 in
    --root) (cd "$folder" && [ -d "$2" ]) || fail "--root $2: no such folder" ;;
    --dataset) grep -Fqx -- "$2" <<<"$datasets" || fail "--dataset $2: not one of ${datasets//$'\n'/, }" ;;
    esac
}
grep -Fqx -- "${1--}" <<<"$names" ||
    fail "${1:-no name}: give a name in aotlab weights or a table: ${names//$'\n'/, }"
option=
for argument in "${@:2}"; do # what can be checked before the installation, which takes minutes
    case $option$argument in
    --root | --dataset) option=$option$argument ;;
    --root=* | --dataset=*) check "${argument%%=*}" "${argument#*=}" ;;
    *) check "$option" "$argument" && option= ;;
    esac
done
[ -z "$option" ] || fail "$option: no value"
set_up "[all]"
aotlab=$PWD/.venv/bin/aotlab
cd "$folder"
exec "$aotlab" table "$@"

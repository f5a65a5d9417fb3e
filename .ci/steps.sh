# How the steps of .ci/run and .ci/nightly run, and what they say.
# shellcheck shell=bash

unset DATABASE_URL REDIS_URL DJANGO_SETTINGS_MODULE PYTHONPATH PYTHONWARNINGS
unset PYTHONDONTWRITEBYTECODE  # each child process would compile Django anew
export PIP_DISABLE_PIP_VERSION_CHECK=1 LC_ALL=C.UTF-8
export POSTGRESQL_URL=postgres://root@127.0.0.1/test
export MARIADB_URL=mysql://root@127.0.0.1/test
export REDIS_URL=redis://127.0.0.1:6379/0
# The databases of a test run need not outlive a power cut.
export PGOPTIONS='-c synchronous_commit=off'

scratch=$(mktemp -d)

die() {
    echo "$*" >&2
    exit 1
}

begin() {
    : >"$scratch/steps"
    trap finish EXIT
    echo "Load at the start: $(cut -d ' ' -f 1-3 /proc/loadavg), $(nproc) cores"
}

# The table of the steps, and the line that says how it went.
finish() {
    local code=$? failed=0
    ((code == 0)) || failed=1
    printf '\n%8s  %s\n' seconds step
    sort -n "$scratch/steps" | awk -F '\t' '{ printf "%8d  %s\n", $2, $3 }'
    printf '%8d  %s\n' "$SECONDS" "all of it"
    printf '\n%d passed, %d failed\n' "$(grep -c . "$scratch/steps")" "$failed"
    rm -rf "$scratch"
}

# step NAME COMMAND…: one line when it begins and one when it ends; all that it said if it fails.
step() {
    local name=$1 began=$SECONDS log code=0
    log=$(mktemp -p "$scratch")
    printf '%5d s  begins       %s\n' "$SECONDS" "$name"
    # In the background, because `set -e` does not hold where the exit code is asked for.
    "${@:2}" >"$log" 2>&1 </dev/null &
    wait $! || code=$?
    if ((code)); then
        printf '\n=== FAILED after %d s: %s\n' $((SECONDS - began)) "$name"
        cat "$log"
        exit "$code"
    fi
    printf '%5d s  took %4d s  %s%s\n' "$SECONDS" $((SECONDS - began)) "$name" \
        "$(sed -nE 's/^=*( ?[0-9]+ passed.*[0-9]s.*[^=])=*$/:\1/p' "$log" | tail -n 1)"
    printf '%d\t%d\t%s\n' "$began" $((SECONDS - began)) "$name" >>"$scratch/steps"
}

# side_by_side LANE…: functions that call `step`. The first that fails ends the others: each is
# a process group, and what it has started ends with it.
side_by_side() {
    (
        set -m
        trap 'for job in $(jobs -p); do kill -- "-$job" 2>/dev/null || true; done' EXIT
        local lane
        for lane in "$@"; do
            (set +m; "$lane") &
        done
        for lane in "$@"; do wait -n; done
    )
}

# --- Tox and Pythons --------------------------------------------------------------------

find_python() { # find_python 3.13: the folder of one that really runs; pyenv's shims may refuse
    local candidate
    for candidate in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python python3; do
        if "$candidate" -c "import ensurepip, sys; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" \
            2>/dev/null; then
            "$candidate" -c 'import os, sys; print(os.path.dirname(os.path.realpath(sys.executable)))'
            return
        fi
    done
    return 1
}

have_pythons() { # have_pythons X.Y…: the tests' Pythons, first on PATH
    local version folder
    for version in "$@"; do
        folder=$(find_python "$version") || {
            apt_install "python$version" "python$version-venv" || true
            folder=$(find_python "$version") || die "Python $version is needed, and could not be had."
        }
        PATH=$folder:$PATH
    done
    export PATH
}

# uv makes the environments, here only: whoever works on the package needs none of it.
have_tox() {
    have_pythons 3.13 3.12 3.11
    [[ -x .venv-ci/bin/tox ]] || {
        python3.11 -m venv .venv-ci
        .venv-ci/bin/python -m pip install -qq 'tox>=4.25' 'tox-uv>=1.20'
    }
}

tox_run() {
    have_pythons 3.13 3.12 3.11
    .venv-ci/bin/tox run "$@"
}

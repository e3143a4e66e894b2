# Finds a Python that is new enough and runs a program of script/lib with it: `with_python bootstrap.py serve "$@"`.
# PYTHON=/path/to/python chooses one by hand; remove .venv to have it made with another.

# The comment at the top of a script is its --help.
help_if_asked() {
    case "${1:-}" in -h | --help) ;; *) return 0 ;; esac
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
    exit 0
}

with_python() {
    program=$(dirname "$0")/lib/$1
    shift
    for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 python3.14 python; do
        if [ -n "$candidate" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            exec "$candidate" "$program" "$@"
        fi
    done
    found=$(python3 --version 2>/dev/null || echo "no python3 at all")
    cat >&2 <<END
Python 3.11 or newer is needed, and this machine has $found on its PATH.
Install one and run this again. Debian and Ubuntu: apt install python3 python3-venv; macOS: brew install python;
elsewhere: https://www.python.org/downloads/. If it is installed under another name: PYTHON=/path/to/python $0
END
    exit 1
}

# Runs a program of the repository in the environment that script/test creates: `in_environment script/lib/pictures.py "$@"`.
in_environment() {
    cd "$(dirname "$0")/.."
    [ -x .venv/bin/python ] || { echo "Run script/test once: it makes the environment." >&2; exit 1; }
    exec .venv/bin/python "$@"
}

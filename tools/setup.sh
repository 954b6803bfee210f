# Sourced by tools/vidvton and tools/test: makes .venv ready, says what it does, and is quick when nothing is to be done.
# Usage: ensure_venv EXTRA   (EXTRA is "" or the name of an extra of pyproject.toml, e.g. "dev")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

find_python() {
  local name
  for name in ${VIDVTON_PYTHON:-} python3.11 python3.12 python3 python; do
    if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' >/dev/null 2>&1; then
      command -v "$name"
      return
    fi
  done
  return 1
}

ensure_venv() {
  local extra=$1 stamp want python log
  want="$(cksum < "$root/pyproject.toml") $root"  # a clone that was moved is installed again: the old path is in .venv
  stamp="$root/.venv/.ready-${extra:-run}"
  if [ -x "$root/.venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$want" ]; then return; fi
  (
    flock 9  # two first uses at once: the second waits for the first
    if [ -x "$root/.venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$want" ]; then exit 0; fi
    # A first use that was stopped half way leaves a .venv without pip: begin it again.
    if ! "$root/.venv/bin/python" -m pip --version >/dev/null 2>&1; then
      python=$(find_python) || { echo "vidvton: needs Python 3.11 or 3.12 on the PATH (or its path in VIDVTON_PYTHON)" >&2; exit 1; }
      echo "vidvton: creating .venv with $("$python" --version)" >&2
      "$python" -m venv --clear "$root/.venv" >&2 || { echo "vidvton: could not create .venv; is the venv module there (Debian: apt install python3-venv)?" >&2; rm -rf "$root/.venv"; exit 1; }
    fi
    echo "vidvton: installing the packages of pyproject.toml into .venv (a few minutes the first time)" >&2
    log="$root/.venv/install.log"
    # torch first: its newest release brings gigabytes of CUDA; 2.13.0 is the version this project is tested with.
    if ! { "$root/.venv/bin/python" -m pip install "torch==2.13.0" && "$root/.venv/bin/python" -m pip install -e "$root${extra:+[$extra]}"; } > "$log" 2>&1; then
      tail -n 5 "$log" >&2
      echo "vidvton: the installation failed; the whole log is $log" >&2
      exit 1
    fi
    echo "$want" > "$stamp"
    [ -n "$extra" ] && echo "$want" > "$root/.venv/.ready-run"
    echo "vidvton: ready" >&2
  ) 9> "$root/.venv.lock"
}

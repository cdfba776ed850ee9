#!/bin/bash
# Switching guests of a lab that runs: `nestvisor cut` and `open`, 50 of each, of a guest of L1 that is a host, and of one
# of L2, with both layers confirmed.
set -eu
here=$(dirname "$(readlink -f "$0")")
nestvisor=$(readlink -f "$1")
cp "$here/../../examples/first.nest.yaml" .
"$nestvisor" up -q
measure() { # NAME LIMIT GUEST…
	python3 - "$nestvisor" "$@" <<'PYTHON'
import json, subprocess, sys, time
nestvisor, name, limit, *guests = sys.argv[1:]
figures = {word: {"whole process": [], "in force at L0": [], "everywhere": [], "the transaction": []} for word in ("cut", "open")}
for i in range(100):
    word = ("cut", "open")[i % 2]
    began = time.monotonic()
    out = subprocess.run([nestvisor, word, "--no-verify", "--json", *guests], check=True, capture_output=True).stdout
    whole = (time.monotonic() - began) * 1000
    answer = json.loads(out)
    assert answer["complete"] and answer["elements"] and not answer["reloaded"], answer
    layers = [layer["ms"] for layer in answer["layers"]]
    for key, value in zip(figures[word], (whole, layers[0], max(layers), answer["transaction_ms"])):
        figures[word][key].append(value)
for word in figures:
    text = []
    for key, values in figures[word].items():
        values.sort()
        text.append(f"{key} {values[25]:.2f} ms (quartiles {values[12]:.2f} and {values[37]:.2f})")
    print(f"{word}, {name}{limit if word == 'cut' else ''}: {'; '.join(text)}", flush=True)
PYTHON
}
measure "a guest of L1" ", asked for at most 10 ms" hv1
measure "a guest of L2" ", asked for at L0 at most 10 ms" hv1/a
"$nestvisor" down -q
